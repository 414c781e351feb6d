"""Distillers: how far a student's logits are from its teachers'. One module each, by name.

A distiller is a callable ``distiller(student, teacher)`` on logits of shape (B, C) that returns
one term a cell, shape (B, C); unknown labels take part, for the teacher has an opinion of them.
"""
