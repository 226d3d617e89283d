"""netdsl: write a neural network down as text, understand it, train it and run it fast."""
