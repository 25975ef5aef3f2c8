"""torch: models, training, pruning, distillation, export. Its programs run in a process of their own."""
