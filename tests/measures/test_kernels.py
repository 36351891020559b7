"""The fused kernel: in Triton's interpreter on the CPU, compiled for an H200, and on a GPU."""

import json
import os
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F

from pddm_lite.measures import allpairs, kernels
from pddm_lite.measures.tiles import fused
from pddm_lite.pddm import LMDM, PDDM
from pddm_lite.store.errors import UserError

needs_triton = pytest.mark.skipif(kernels.triton is None, reason="Triton is not installed")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")

INTERPRETED = """
import json, sys, torch
import torch.nn.functional as F
from pddm_lite.measures.kernels import Fused
from pddm_lite.pddm import LMDM, PDDM

torch.set_num_threads(1)
out = []
for d, n, precision in json.loads(sys.argv[1]):
    for kind in (PDDM, LMDM):
        torch.manual_seed(d)
        s = kind(d)
        f = F.normalize(torch.randn(n, d), dim=1)
        f[3], f[4], f[5], f[n - 1] = 0, f[1], 0, f[1]
        i = torch.arange(n).repeat_interleave(n)
        with torch.no_grad():
            want = s.double().eval()(f[i].double(), f.repeat(n, 1).double()).view(n, n).float()
        k = Fused(s.float(), f, precision)
        got, part = k.strip(0, n), k.strip(2, 7, n - 1)
        gap = max((got - want).abs().max(), (part - want[2:7, 2 : n - 1]).abs().max())
        out.append([gap.item(), torch.equal(got, got.T), want.std().item()])
        if d == 37:
            out.append([(Fused(s, f.half()).strip(0, n) - want).abs().max().item(), True, 1.0])
print(json.dumps(out))
"""


def python(code, *arguments, **environment):
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        timeout=300,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@needs_triton
def test_in_tritons_interpreter_the_kernel_gives_the_units_scores():
    cases = [(1, 9, "float32"), (37, 21, "float32"), (128, 9, "float32"), (128, 9, "tf32")]
    cases += [(130, 9, "float32")]
    results = json.loads(python(INTERPRETED, json.dumps(cases), TRITON_INTERPRET="1"))
    assert len(results) == 2 * len(cases) + 2
    half = [results.pop(3), results.pop(4)]  # features of d = 37 in half precision
    for gap, symmetric, spread in results:
        assert gap < 1e-5 < spread and symmetric
    assert all(gap < 2e-3 for gap, _, _ in half)


COMPILED = """
import json, sys
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, compile
from pddm_lite.measures import kernels

names, out = kernels._strip.arg_names, []
for d, precision in json.loads(sys.argv[1]):
    sizes = kernels.blocks(d, precision)
    options = {k: sizes.pop(k) for k in ("num_warps", "num_stages")}
    constants = dict(D=d, POSITION=True, **kernels.products(precision), **sizes)
    types = dict.fromkeys(names, "*fp32") | dict.fromkeys(("a", "b", "end", "chunk"), "i32")
    if precision == "bf16":
        types |= dict.fromkeys(("w_u", "w_cu", "w_cv"), "*bf16")
    types |= dict.fromkeys(constants, "constexpr")
    aligned = [n for n in names if types[n].startswith("*")]
    source = ASTSource(
        kernels._strip,
        signature=types,
        constexprs={(names.index(n),): value for n, value in constants.items()},
        attrs={(names.index(n),): [["tt.divisibility", 16]] for n in aligned},
    )
    k = compile(source, target=GPUTarget("cuda", 90, 32), options=options)
    out.append([k.metadata.shared, k.asm["ptx"].count("wgmma.mma_async")])
print(json.dumps(out))
"""


@needs_triton
@pytest.mark.slow
def test_the_kernel_compiles_for_an_h200_and_fits_its_shared_memory(tmp_path):
    cases = [(128, "float32"), (128, "bf16")]
    results = json.loads(python(COMPILED, json.dumps(cases), TRITON_CACHE_DIR=str(tmp_path)))
    for (_, precision), (shared, tensor_core_products) in zip(cases, results, strict=True):
        assert tensor_core_products > 0
        # bf16 counts on two programs an SM, which has 228 KB and keeps 1 KB of each program's
        assert shared <= (113 if precision == "bf16" else 227) * 1024


def test_without_triton_the_module_imports_and_says_so():
    code = """
import sys
sys.modules["triton"] = None
import torch
from pddm_lite.measures import kernels
from pddm_lite.pddm import PDDM
unit, f = PDDM(4), torch.rand(5, 4)
assert kernels.triton is None and not kernels.usable(unit, f)
print(unit.all_pairs(f).shape)
kernels.Fused(unit, f)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, encoding="utf-8"
    )
    assert "torch.Size([5, 5])" in done.stdout
    assert "UserError: the fused kernel needs Triton" in done.stderr


def test_on_a_cpu_the_tiled_code_is_used():
    unit, f = PDDM(8), F.normalize(torch.randn(30, 8), dim=1)
    assert not kernels.usable(unit, f) and fused(unit, f) is None
    assert torch.equal(allpairs.all_pairs(unit, f, kernel=True), unit.all_pairs(f))


@needs_triton
def test_what_the_kernel_cannot_do_is_one_clear_line():
    with pytest.raises(UserError, match="precision: unknown name 'half'; use one of"):
        kernels.Fused(PDDM(4), torch.rand(3, 4), "half")
    with pytest.raises(UserError, match="up to 512 long, not 513"):
        kernels.Fused(LMDM(513), torch.rand(3, 513))


# ------------------------------------------------------------------------------------ on a GPU

ACCURACY = {"float32": 1e-4, "tf32": 5e-3, "bf16": 5e-2}


@needs_gpu
@needs_triton
@pytest.mark.parametrize("precision", ACCURACY)
@pytest.mark.parametrize("d", [1, 16, 37, 64, 128, 200, 256, 512])
@pytest.mark.parametrize("kind", [PDDM, LMDM])
def test_on_a_gpu_the_kernel_gives_the_scores_of_float64(kind, d, precision):
    torch.manual_seed(d)
    unit, f = kind(d).cuda(), F.normalize(torch.randn(333, d), dim=1).cuda()
    f[3], f[4], f[5], f[332] = 0, f[1], 0, f[1]
    assert kernels.usable(unit, f)
    S = allpairs.all_pairs(unit, f, precision=precision)
    want = kind(d).double().cuda()
    want.load_state_dict(unit.state_dict())
    want = want.all_pairs(f.double(), tile=64)
    torch.testing.assert_close(S.double(), want, rtol=0, atol=ACCURACY[precision])
    assert torch.equal(S, S.T)
    if precision == "float32":
        torch.testing.assert_close(unit.all_pairs(f), S, rtol=0, atol=1e-5)


@needs_gpu
@needs_triton
def test_on_a_gpu_ranks_and_the_switch(monkeypatch):
    unit, f = PDDM(64).cuda(), F.normalize(torch.randn(1500, 64), dim=1).cuda()
    labels = torch.arange(1500, device="cuda") % 300
    by_kernel = allpairs.all_pairs(unit, f)
    ranks = allpairs.ranks_of_best_positive(unit, f, labels)
    monkeypatch.setenv("PDDM_LITE_KERNEL", "0")
    assert not kernels.usable(unit, f)
    torch.testing.assert_close(allpairs.all_pairs(unit, f), by_kernel, rtol=0, atol=1e-4)
    with pytest.raises(UserError, match="'bf16' is the fused kernel's"):
        allpairs.all_pairs(unit, f, precision="bf16")
    plain = allpairs.ranks_of_best_positive(unit, f, labels)
    assert (plain - ranks).abs().double().mean() < 1
    twins = f.repeat(2, 1)
    first = allpairs.ranks_of_best_positive(unit, twins, torch.arange(3000, device="cuda") // 2)
    assert first.min() >= 1
