"""The torch training path of the sentiment experiment; transformers and peft load lazily here."""
