"""The loss of distillation."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from cimsearch.errors import UsageError
from cimsearch.spec.recipe import Distillation
from cimsearch.training.losses import cross_entropy, distilled, loss_of


def logits(seed: int) -> torch.Tensor:
    return 3 * torch.randn(6, 4, generator=torch.Generator().manual_seed(seed))


CLASSES = torch.tensor([0, 1, 2, 3, 0, 1])


@given(weight=st.floats(0, 1), temperature=st.floats(0.5, 20), seed=st.integers(0, 99))
def test_the_loss_is_that_of_the_paper(weight: float, temperature: float, seed: int) -> None:
    student, teacher = logits(seed), logits(seed + 100)
    p, q = ((z / temperature).softmax(dim=1) for z in (teacher, student))
    divergence = float(functional.kl_div(q.log(), p, reduction="sum")) / 6
    hard = float(functional.cross_entropy(student, CLASSES))
    wanted = (1 - weight) * hard + weight * temperature**2 * divergence
    told = Distillation(weight=weight, temperature=temperature)
    assert float(distilled(student, teacher, CLASSES, told)) == pytest.approx(
        wanted, rel=1e-3, abs=1e-4
    )


def test_one_case_by_hand() -> None:
    # Teacher 3/4 and 1/4, student 1/2 and 1/2, at temperature 2.
    teacher = torch.tensor([[2 * math.log(3), 0.0]])
    divergence = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    told = Distillation(weight=0.5, temperature=2.0)
    found = distilled(torch.zeros(1, 2), teacher, torch.tensor([0]), told)
    assert float(found) == pytest.approx(0.5 * math.log(2) + 0.5 * 4 * divergence)


def test_a_student_like_its_teacher_has_no_distance_to_it() -> None:
    told = Distillation(weight=1.0, temperature=4.0)
    assert float(distilled(logits(0), logits(0), CLASSES, told)) == pytest.approx(0.0, abs=1e-6)


def test_without_distillation_it_is_the_cross_entropy() -> None:
    assert loss_of(None, None) is cross_entropy
    found = cross_entropy(logits(0), torch.empty(0), CLASSES)
    assert torch.equal(found, functional.cross_entropy(logits(0), CLASSES))


def test_a_missing_teacher_is_an_error() -> None:
    with pytest.raises(UsageError, match=r"recipe\.distillation: found no teacher; needed is the"):
        loss_of(Distillation(weight=0.5, temperature=2.0), None)
