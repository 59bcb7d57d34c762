"""Databases on a MongoDB server; pymongo is imported nowhere else."""
