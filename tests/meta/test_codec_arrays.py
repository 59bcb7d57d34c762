"""numpy arrays and scalars, and torch tensors: bytes, ties, layouts."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from ptutils.errors import EncodeError
from ptutils.meta.codec import Encoded, decode, encode
from ptutils.testing.sameness import same
from ptutils.testing.values import NUMBERS, TENSOR_DTYPES, arrays, tensors

pytestmark = pytest.mark.filterwarnings(
    "ignore:ComplexHalf support", "ignore:Sparse ... tensor support"
)
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def round_trip(value, **options):
    return decode(encode(value), **options)


@settings(max_examples=300, deadline=None)
@given(arrays())
def test_an_array_comes_back(array):
    assert same(round_trip([array, array.T]), [array, array.T])


@settings(max_examples=300, deadline=None)
@given(tensors())
def test_a_tensor_comes_back(tensor):
    assert same(round_trip([tensor]), [tensor])


@pytest.mark.parametrize("dtype", TENSOR_DTYPES, ids=str)
def test_a_tensor_of_every_dtype_comes_back(dtype):
    storage = torch.arange(64, dtype=torch.uint8).untyped_storage()
    tensor = torch.empty(0, dtype=dtype).set_(storage, 1, (2, 1), (1, 1))
    assert same(round_trip(tensor), tensor)


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: type(number).__name__)
def test_a_scalar_of_numpy_comes_back(number):
    assert same(round_trip(number), number)


def test_a_datetime_that_numpy_cannot_write_as_text_comes_back():
    value = np.array(5).view("M8")[()]
    assert encode(value).document == "datetime64"
    assert round_trip(value).view("i8") == 5


# Ties


def test_views_of_one_tensor_keep_their_tie():
    base = torch.zeros(4, 4)
    back = round_trip(
        {"row": base[1], "column": base[:, 2], "bits": base.view(torch.int32)}
    )
    back["bits"][1, 2] = 7
    assert back["row"][2] == back["column"][1] != 0


def test_views_of_one_array_keep_their_tie():
    base = np.zeros((4, 4))
    back = round_trip({"row": base[1], "column": base[::-1, 2]})
    back["row"][2] = 7
    assert back["column"][2] == 7


def test_tied_parameters_come_back_as_one_object():
    weight = torch.nn.Parameter(torch.ones(2))
    back = round_trip({"encoder": weight, "decoder": weight})
    assert back["encoder"] is back["decoder"]


def test_only_the_touched_bytes_are_stored():
    big = torch.zeros(1_000_000)
    encoded = encode({"view": big[500_001:500_003], "again": big[500_005:500_006]})
    assert [len(artifact) for artifact in encoded.artifacts] == [24]


def test_an_expanded_tensor_stores_one_element():
    tensor = torch.ones(1).expand(1000, 1000)
    encoded = encode(tensor)
    assert len(encoded.artifacts[0]) == 4
    assert decode(encoded).stride() == (0, 0)


def test_artifacts_alias_live_tensors():
    tensor = torch.zeros(2)
    artifact = encode(tensor).artifacts[0]
    tensor[0] = 1
    assert bytes(artifact) == b"\0\0\x80?\0\0\0\0"


def test_artifacts_outlive_what_was_encoded():
    artifact = encode({"a": np.arange(1000)}).artifacts[0]
    assert bytes(artifact) == np.arange(1000).tobytes()


def test_what_comes_back_is_writable_and_owns_its_memory():
    tensor, array = torch.zeros(2), np.zeros(2)
    back = round_trip([tensor, array])
    back[0][0] = back[1][0] = 1
    assert not tensor.any()
    assert not array.any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [3, 50_000])
def test_a_tensor_comes_back_as_no_view_of_another(size, dtype):
    back = decode(encode(torch.ones(size, 2, dtype=dtype)))
    assert not back._is_view()
    assert back.untyped_storage().nbytes() == back.nbytes
    assert back.detach_().data_ptr() == back.data_ptr()


def test_tensors_of_one_whole_storage_share_it_though_one_begins_it():
    whole = torch.arange(6.0)
    first, second, bits = decode(
        encode([whole, whole.view(2, 3), whole.view(torch.int)])
    )
    first[0] = 7
    assert second[0, 0] == 7
    assert len({each.untyped_storage()._cdata for each in (first, second, bits)}) == 1


def test_a_read_only_array_comes_back_read_only():
    array = np.zeros(2)
    array.flags.writeable = False
    assert not round_trip(array).flags.writeable


# Kinds of tensors


@pytest.mark.parametrize(
    "tensor",
    [
        torch.tensor(3.0),
        torch.empty(0, 3),
        torch.empty_strided((0, 3), (7, 2)),
        torch.zeros(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
        torch.arange(6.0).reshape(2, 3).t(),
        torch.ones(2, dtype=torch.complex64).conj(),
        torch.ones(2, dtype=torch.complex64).conj().imag,
        torch.nn.Parameter(torch.ones(2, dtype=torch.int8), requires_grad=False),
        torch.ones(2, requires_grad=True),
        torch.empty(3, 4, device="meta", dtype=torch.bfloat16),
        torch.eye(3).to_sparse(),
        torch.eye(3).to_sparse().requires_grad_(),
        torch.sparse_coo_tensor([[0, 0]], [1.0, 2.0], (2,), check_invariants=True),
        torch.zeros(2, 2).to_sparse(),
    ],
)
def test_a_tensor_of_this_kind_comes_back(tensor):
    back = round_trip({"a": tensor})["a"]
    assert same(back, tensor)
    if tensor.layout is torch.sparse_coo:
        assert back.is_coalesced() == tensor.is_coalesced()


def test_a_sparse_tensor_needs_nothing_that_was_imported_before():
    code = (
        "import torch, ptutils.backends.torch\n"
        "from ptutils.meta.codec import encode\n"
        "print(encode(torch.eye(2).to_sparse()).document['shape'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True
    )
    assert done.stdout == "[2, 2]\n"


@pytest.mark.parametrize("layout", ["csr", "csc", "bsr", "bsc"])
def test_a_compressed_sparse_tensor_comes_back(layout):
    blocks = [(1, 1)] if layout.startswith("b") else []
    tensor = getattr(torch.eye(3), f"to_sparse_{layout}")(*blocks)
    assert same(round_trip(tensor), tensor)


@pytest.mark.parametrize(
    "value",
    [
        torch.Size([1, 2]),
        torch.float8_e4m3fn,
        torch.device("cuda:1"),
        torch.sparse_csr,
        torch.channels_last,
        np.dtype(">f4"),
        np.dtype([("a", "<f4", (2,)), (("title", "b"), [("c", "i1")])]),
    ],
    ids=str,
)
def test_descriptions_come_back(value):
    assert same(round_trip(value), value)


def test_a_generator_comes_back_with_its_state_and_identity():
    generator = torch.Generator().manual_seed(3)
    torch.rand(5, generator=generator)
    back = round_trip([generator, generator])
    assert back[0] is back[1]
    assert torch.equal(
        torch.rand(5, generator=back[0]), torch.rand(5, generator=generator)
    )


class Special(torch.Tensor):
    pass


def marked() -> torch.Tensor:
    tensor = torch.ones(2)
    tensor.note = 1
    return tensor


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: torch.ones(2, requires_grad=True) * 2, "how it was computed"),
        (marked, "with the attribute 'note'"),
        (lambda: torch.ones(2).as_subclass(Special), "convert it to Tensor"),
        (lambda: torch.nn.Parameter(torch.eye(2).to_sparse()), r"to_dense\(\)"),
        (
            lambda: torch.empty(2, dtype=torch.bits8),
            r"a tensor of dtype torch\.bits8",
        ),
    ],
)
def test_a_tensor_that_bytes_do_not_describe_is_refused(make, text):
    value = {"net": [make()]}
    with pytest.raises(EncodeError, match=text) as caught:
        encode(value)
    assert caught.value.path == "net.0"


@pytest.mark.filterwarnings("ignore")
def test_a_nested_tensor_is_refused():
    value = torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])
    with pytest.raises(EncodeError, match="a nested tensor"):
        encode(value)


@pytest.mark.filterwarnings("ignore")
def test_a_quantized_tensor_is_refused():
    value = torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)
    with pytest.raises(EncodeError, match=r"dtype torch\.qint8"):
        encode(value)


@pytest.mark.parametrize(
    "value",
    [
        np.array([None]),
        np.zeros(1, dtype=np.dtype("f4", metadata={"a": 1})),
        np.zeros(1, dtype=[("a", "O")]),
    ],
)
def test_an_array_that_bytes_do_not_describe_is_refused(value):
    with pytest.raises(EncodeError, match="cannot store an array of this dtype at 'a'"):
        encode({"a": value})


@pytest.mark.parametrize("kind", [np.matrix, np.recarray, np.ma.MaskedArray])
def test_subclasses_of_arrays_are_refused(kind):
    value = np.zeros((1, 1)).view(kind)
    with pytest.raises(EncodeError, match="convert it to ndarray"):
        encode(value)


# Devices


def test_a_meta_tensor_stays_where_it_is():
    tensor = torch.empty(2, device="meta")
    assert round_trip(tensor, device="cpu").device.type == "meta"


def test_tensors_are_put_where_asked():
    encoded = encode({"a": torch.ones(2), "b": torch.empty(0)})
    back = decode(encoded, device="meta")
    assert {tensor.device.type for tensor in back.values()} == {"meta"}


@pytest.mark.gpu
@needs_gpu
def test_a_tensor_on_a_gpu_comes_back_there_or_on_the_cpu():
    base = torch.arange(6.0, device="cuda").reshape(2, 3)
    encoded = encode([base, base[1], base[:0]])
    there = decode(encoded, device=None)
    there[0][1, 0] = 9
    assert there[1][0] == 9
    assert {tensor.device.type for tensor in there} == {"cuda"}
    assert decode(encoded)[0].device.type == "cpu"


@pytest.mark.gpu
@needs_gpu
def test_a_generator_of_a_gpu_comes_back_there():
    generator = torch.Generator("cuda").manual_seed(3)
    back = round_trip(generator)
    assert torch.equal(back.get_state(), generator.get_state())


def test_artifacts_are_decoded_without_torch_having_been_imported():
    encoded = encode({"a": torch.ones(2)})
    code = (
        "from ptutils.meta.codec import *;"
        f"value = decode(Encoded(document={encoded.document!r},"
        f" types={encoded.types!r}, artifacts=({bytes(encoded.artifacts[0])!r},)));"
        "print(value['a'].tolist())"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True
    )
    assert result.stdout == "[1.0, 1.0]\n"


def test_read_only_buffers_decode():
    encoded = encode(torch.ones(2))
    frozen = tuple(memoryview(bytes(item)) for item in encoded.artifacts)
    back = decode(
        Encoded(document=encoded.document, types=encoded.types, artifacts=frozen)
    )
    back[0] = 2
    assert back.tolist() == [2, 1]
