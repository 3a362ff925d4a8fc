from hypothesis import given
from hypothesis import strategies as st

from mulcot.training.batch_order import epoch_steps, share

lengths = st.lists(st.integers(1, 50), min_size=1, max_size=300)
sizes = st.integers(1, 12)


@given(lengths, sizes, st.integers(0, 3), st.integers(0, 3), st.booleans())
def test_every_example_comes_exactly_once_per_epoch(lens, size, seed, epoch, by_length) -> None:
    steps = epoch_steps(lens, size, seed=seed, epoch=epoch, by_length=by_length)
    assert sorted(index for step in steps for index in step) == list(range(len(lens)))
    assert len(steps) == -(-len(lens) // size)
    assert all(step for step in steps)


@given(lengths, sizes, st.integers(0, 3))
def test_the_order_is_a_function_of_seed_and_epoch(lens, size, epoch) -> None:
    def again(seed: int) -> list[tuple[int, ...]]:
        return epoch_steps(lens, size, seed=seed, epoch=epoch, by_length=True)

    assert again(1) == again(1)


def test_epochs_and_seeds_shuffle_differently() -> None:
    orders = {
        str(epoch_steps([1] * 40, 4, seed=seed, epoch=epoch, by_length=True)) for seed in (0, 1) for epoch in (0, 1)
    }
    assert len(orders) == 4


def test_grouping_puts_like_lengths_together() -> None:
    lens = [index * 37 % 101 for index in range(1000)]

    def padding(by_length: bool) -> int:
        steps = epoch_steps(lens, 10, seed=0, epoch=0, by_length=by_length)
        return sum(max(lens[i] for i in step) * len(step) - sum(lens[i] for i in step) for step in steps)

    assert padding(True) < padding(False) / 5


@given(st.lists(st.integers(), min_size=1, max_size=40, unique=True), sizes, st.integers(1, 5))
def test_processes_share_a_step_without_overlap_or_loss(step, micro, world) -> None:
    shares = [share(step, micro, rank=rank, world=world) for rank in range(world)]
    counted = [i for p in shares for batch in p.micro_batches[: len(p.micro_batches) - p.idle] for i in batch]
    assert sorted(counted) == sorted(step)
    assert len({len(part.micro_batches) for part in shares}) == 1, "a process without work would block its peers"
    assert all(batch for part in shares for batch in part.micro_batches)
    assert all(len(batch) <= micro for part in shares for batch in part.micro_batches)
