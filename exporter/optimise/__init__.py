"""From a bundle to a new version of it with the same model in fewer bits, each form measured before it may be chosen.

pictures   what is calibrated on, and what is measured on
network    which part of the graph may lose precision
int8       8-bit integers, calibrated
half       16-bit floating point, for GPUs
forms      the precisions, and what each is made of
engines    compiles a form as the server will
measure    how far a form is from the trained model, and how fast it is
ladder     the steps in order, and the bundle
page       report.html, with `plot` and `overlays` for its pictures
"""
