"""CPU time of starting cimsearch, beside starting Python alone, in one run.

Goal: ``import cimsearch`` and ``cimsearch --help`` take under 0.3 s of CPU each.
"""

import resource
import statistics
import subprocess
import sys

RUNS = 7
CASES = {
    "python alone": ["-c", "pass"],
    "import cimsearch": ["-c", "import cimsearch"],
    "cimsearch --help": ["-m", "cimsearch", "--help"],
    "cimsearch cost resnet8": [
        "-m",
        "cimsearch",
        "cost",
        "resnet8",
        "--hardware",
        "macros/yu_cicc_2020",
    ],
}


def cpu_s(arguments: list[str]) -> float:
    """Return the CPU seconds, user and system, of one new process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> None:
    """Print the median CPU time of each case and its ratio to Python alone."""
    medians = {
        name: statistics.median(cpu_s(arguments) for _ in range(RUNS))
        for name, arguments in CASES.items()
    }
    base = medians["python alone"]
    for name, seconds in medians.items():
        print(f"{name:24} {seconds:6.3f} s CPU   {seconds / base:5.1f} x python alone")


if __name__ == "__main__":
    main()
