"""Keras models: conversion to ONNX, TensorFlow's own Grad-CAM as the measure, and the SavedModel.

model         reads the trained model of a run and makes sure that it is what run.json says
convert       Keras to ONNX, and which layer became which tensor
oracle        the same heatmaps by TensorFlow's GradientTape
run           ties them together: a run folder becomes a candidate
quiet         starts TensorFlow without its chatter
"""
