"""Models trained on one picture: ConSinGAN (Hinz et al. 2020, arXiv:2003.11512).

The way through: `settings` (what differs between the tasks) -> `pyramid` -> `networks` ->
`training` -> `model` (what a training leaves) -> `harmonization` (what a painter gets). `runs`
reads the public code's folders.
"""
