"""What is read from a kernel's source: parameters, template arguments, structs as C lays them out."""

from __future__ import annotations

import numpy as np
import pytest

from gradflow.backend.cuda.program import Program, defines, inline, packaged
from gradflow.backend.cuda.signature import Parameter, SignatureError, parse_kernels, struct_dtype
from gradflow.backend.sources import kernel_sources

SOURCE = """
// __global__ void commented(float* x) {}
using Word = unsigned long long;
struct Pair { float low, high; };
struct Mixed {
    unsigned char kind;  // padding after it
    const float* pointer;
    Pair pair;
    int sizes[3];
    Word word;
};
template <int N> struct Table { void* at[N]; long long count; };
struct NotPlain { int x; int twice() const { return 2 * x; } };
template <typename T, int N>
__global__ void __launch_bounds__(256) scale(const T* __restrict__ x, T* y, acc_t<T> factor, long long n) { }
extern "C" __global__ void plain(Mixed m, const unsigned char* mask, unsigned int k, bool flag, void* any) {
}
template <int N> __global__ void many(Table<N> table, Word seed, const long long* index) {}
"""


def test_parameters_of_a_template() -> None:
    name, parameters = parse_kernels(SOURCE)["scale"].bind((np.dtype("f4"), 4))
    assert name == "scale<float, 4>"
    assert parameters == (
        Parameter("x", "float", True, True),
        Parameter("y", "float", True, False),
        Parameter("factor", "float", False, False),
        Parameter("n", "long long", False, False),
    )


@pytest.mark.parametrize(
    "dtype, name, accumulator",
    [
        ("f8", "double", "double"),
        ("f2", "__half", "float"),
        ("bfloat16", "__nv_bfloat16", "float"),
        ("i8", "long long", "long long"),
    ],
)
def test_template_arguments_are_dtypes(dtype: str, name: str, accumulator: str) -> None:
    instance, parameters = parse_kernels(SOURCE)["scale"].bind((dtype, 1))
    assert instance == f"scale<{name}, 1>"
    assert (parameters[0].type, parameters[2].type) == (name, accumulator)


def test_parameters_of_a_plain_kernel() -> None:
    found = parse_kernels(SOURCE)
    assert set(found) == {"scale", "plain", "many"}
    name, parameters = found["plain"].bind(())
    assert name == "plain"
    assert [(p.type, p.pointer) for p in parameters] == [
        ("Mixed", False), ("unsigned char", True), ("unsigned int", False), ("bool", False), ("", True),
    ]  # fmt: skip
    assert found["many"].bind((8,))[1][:2] == (
        Parameter("table", "Table<8>", False, False), Parameter("seed", "unsigned long long", False, False),
    )  # fmt: skip


def test_structs_are_laid_out_as_c_does() -> None:
    mixed = struct_dtype(SOURCE, "Mixed")
    assert {n: mixed.fields[n][1] for n in mixed.names} == {  # type: ignore[index, union-attr]
        "kind": 0, "pointer": 8, "pair": 16, "sizes": 24, "word": 40,
    }  # fmt: skip
    assert mixed.itemsize == 48
    assert struct_dtype(SOURCE, "Table<5>").itemsize == 48


@pytest.mark.parametrize("source", ["void f(float& x)", "void f(float** x)", "void f(const T (&x)[3])"])
def test_what_cannot_be_read_is_refused_by_name(source: str) -> None:
    with pytest.raises(SignatureError, match=r"\[f\] cannot read the parameter"):
        parse_kernels(f"__global__ {source} {{}}")


def test_errors_name_what_there_is() -> None:
    program = Program(SOURCE, "mine.cu")
    with pytest.raises(
        SignatureError, match=r"\[mine.cu\] there is no kernel 'scales' \(there are: scale, plain, many\)"
    ):
        program.instance("scales", ())
    with pytest.raises(SignatureError, match=r"\[scale\] got 1 template arguments, it has T, N"):
        program.instance("scale", ("f4",))
    with pytest.raises(SignatureError, match="no dtype, integer or C type"):
        program.instance("scale", ("f4", 1.5))
    with pytest.raises(SignatureError, match="None is no dtype, integer or C type"):
        program.instance("scale", (None, 4))
    with pytest.raises(SignatureError, match=r"\[Table<N>\] the size of at is 'N'; make it a number"):
        struct_dtype(SOURCE, "Table<N>")
    with pytest.raises(SignatureError, match="no type or plain struct 'NotPlain'"):
        struct_dtype(SOURCE, "NotPlain")
    with pytest.raises(SignatureError, match="no __global__ function"):
        Program("int x;", "empty.cu")


def test_headers_are_put_into_the_text_once() -> None:
    text = inline('#include "common.cuh"\n#include "common.cuh"\nint last;', "x.cu")
    assert text.count("struct FastDiv {") == 1
    assert "#pragma once" not in text and '#include "common.cuh"' not in text
    assert text.endswith('#line 2 "x.cu"\n\nint last;')
    assert inline("int a;", "x.cu") == '#line 1 "x.cu"\nint a;'


def test_headers_of_16_bit_floats_are_asked_for_where_needed() -> None:
    assert defines("f<float, 4>") == ()
    assert defines("f<__half>") == ("GF_F16",)
    assert defines("f<__nv_bfloat16, double>") == ("GF_BF16",)


@pytest.mark.parametrize("file", [f for f in kernel_sources("cuda") if f.endswith(".cu")])
def test_every_source_can_be_read(file: str) -> None:
    program = packaged(file.removeprefix("cuda/"))
    assert program.kernels
    assert program.text.count("__global__") >= len(program.kernels)
