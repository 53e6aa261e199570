"""What the command line and, later, the HTTP service do: the applications on top of chains and circuits."""
