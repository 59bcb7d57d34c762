"""MongoDB's query semantics on plain documents, in pure Python.

``compile_filter``, ``compile_sort``, ``compile_projection`` and ``compile_update`` each
turn a description into a function once; what they answer is what a real mongod answers,
and where a mongod refuses, they raise QueryError.
"""
