"""A trained forecaster to one file that needs no torch: an ONNX graph of all that it does.

    model and fitted data module -> graph -> ONNX -> proof -> file

`refusals` says what has no place in a graph, `graph` is the function that is traced, `tracing`
brings it to ONNX, `proof` holds the result against the live model, and `writing` puts it in place.
`transformertf.exported` runs it.
"""

from transformertf.exporting.proof import Proof, prove
from transformertf.exporting.writing import check_target, export
