"""Keras models: conversion to ONNX, TensorFlow's own explanations as the measure, and the SavedModel.

run           a run folder becomes a candidate
application   an architecture of keras.applications becomes one
model         reads a trained model and makes sure that it is what run.json says
convert       Keras to ONNX
ending        what kind of classifier a model is
names         which layer became which tensor
oracle        the same heatmaps by TensorFlow's GradientTape, and the SavedModel
taps          what the layers put out while a model runs
quiet         starts TensorFlow without its chatter
command       the command line
"""
