"""What clients speak, one protocol a file: each makes items of a request, has them predicted, and shapes the answer."""
