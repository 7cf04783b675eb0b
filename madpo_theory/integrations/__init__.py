"""The weights of this library in other people's trainers."""
