"""Published quality rules over whole columns of texts: N texts, W words, L lines."""
