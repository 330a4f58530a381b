"""Says who runs each command that the pages show: existing is not yet working."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from verify.blocks.found import Block
from verify.blocks.languages import shell

SHELLS = ("bash", "sh", "console")


@dataclass(frozen=True)
class Row:
    """Who runs a command.

    Attributes
    ----------
    command : str
        As the page writes it, without its comment.
    why : str
        Why ``tests/house/test_commands_run.py`` does not run it; empty where it does.
    by : str
        ``FILE::WORDS``: the test or the step that runs it; empty where nothing does.
    """

    command: str
    why: str = ""
    by: str = ""

    @property
    def kind(self) -> str:
        """Return ``run``, ``elsewhere`` or ``not run``."""
        return "run" if not self.why else "elsewhere" if self.by else "not run"


DOOR = "python3 noxfile.py -s"
QLORA = "qlora-comprehensive-tutorial"
CI, NIGHTLY = ".ci/run::", ".github/workflows/nightly.yml::"
GOLDEN = "tests/golden/test_golden.py::test_a_tour_prints_what_it_printed"
BLOCKS = "tests/blocks/test_book.py"
BLOCKS += "::test_every_block_of_the_book_passes_in_twenty_seconds"
REFERENCE = "tests/reference/test_answers.py"
REFERENCE += "::test_the_committed_answers_are_what_is_installed"
FORCE = "tests/verify/test_reuse.py::test_force_runs_again"
VLLM = "needs a GPU and vLLM"
NODES = "tests/snippets/test_sharding.py::test_two_nodes_train_like_one_process"
TWO = "tests/snippets/test_backends.py::test_two_processes_train_like_one"
BENCH = "takes minutes alone on a machine, in an environment of its own"
RESOLVER = "asks a package index"
MINUTES = "takes minutes"
CLUSTER = "needs a cluster"
GUIDE = "tests/sandbox/test_guide.py"
GUIDE += "::test_a_reader_of_the_guide_owns_the_run_that_it_leads_to"
SMOKED = "tests/sandbox/test_smoke.py"
SMOKED += "::test_every_leg_passes_on_the_sandbox_and_nothing_is_left"
SMOKE = (
    "export MLFLOW_SMOKE_FOREIGN_WORKSPACE=team-b",
    "python -m verify.smoke.mlflow",
)
SANDBOX = "tests/sandbox/test_stack.py"
SANDBOX += "::test_the_sandbox_replaces_a_killed_one_and_goes_down_whole"
# What the guide to MLflow behind single sign-on has its reader paste, in order.
SIGN_IN = r"""
export HANDBOOK=https://handbook.example.com
pip install --no-deps "$HANDBOOK/downloads/wheels/fine_tuning_handbook_snippets-0.1.0-py3-none-any.whl"
mkdir -p ~/.config/mlflow-sso && chmod 700 ~/.config/mlflow-sso
{
read -rsp "Password: " secret && printf '%s' "$secret" > ~/.config/mlflow-sso/password
read -rsp "Client secret: " secret && printf '%s' "$secret" > ~/.config/mlflow-sso/client-secret
}
export MLFLOW_TRACKING_URI=https://platform.example.com/clusters/global/mlflow
export MLFLOW_WORKSPACE=team-a
export MLFLOW_TRACKING_AUTH=oidc
export MLFLOW_ALLOW_HTTP_REDIRECTS=false
export MLFLOW_TRACKING_SERVER_CERT_PATH=/etc/platform/ca.pem
export MLFLOW_SSO_ISSUER=https://platform.example.com/dex
export MLFLOW_SSO_REDIRECT_URI=https://platform.example.com/oauth2/callback
export MLFLOW_SSO_CLIENT_ID=mlflow-proxy
export MLFLOW_SSO_CLIENT_SECRET_FILE=~/.config/mlflow-sso/client-secret
export MLFLOW_SSO_USERNAME=alice
export MLFLOW_SSO_PASSWORD_FILE=~/.config/mlflow-sso/password
export MLFLOW_SSO_LOGIN=platform
export MLFLOW_SSO_CA_BUNDLE=/etc/platform/ca.pem
unset MLFLOW_TRACKING_TOKEN MLFLOW_TRACKING_USERNAME MLFLOW_TRACKING_PASSWORD
python -m snippets.mlflow_auth login
python -m snippets.mlflow_auth doctor
python -m snippets.journal outputs/journal.jsonl
""".strip()  # noqa: E501, a command is one line

ROWS = (
    Row(f"{DOOR} status"),
    Row(f"{DOOR} why -- NAME"),
    Row(f"{DOOR} words"),
    Row(f"{DOOR} blocks -- docs/how-to/qlora.mdx _build/mdx"),
    Row(".nox/env/notebooks/bin/python -m verify status"),
    Row(f".nox/env/notebooks/bin/python -m verify why {QLORA}"),
    Row("python3 -m venv .venv"),
    Row("source .venv/bin/activate"),
    Row("pip install torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu"),
    Row("pip install torch==2.13.0"),
    Row("pip install -r .ci/locks/torch.txt -c .ci/locks/notebooks.txt"),
    Row("pip install --no-deps -r .ci/locks/notebooks.txt"),
    Row("pip check"),
    Row('python -c "from snippets.hardware import describe; print(describe())"'),
    Row("python -m snippets.memory Qwen2.5-7B --method qlora --gpu 24"),
    Row(f"{DOOR} test", "it is what runs this", CI + f"{DOOR} test"),
    Row(f"{DOOR} book", MINUTES, CI + f"{DOOR} book"),
    Row(f"{DOOR} blocks", "is run by another test", BLOCKS),
    Row(f"{DOOR} regen", MINUTES, GOLDEN),
    Row(f"{DOOR} regen -- -k plan", MINUTES, GOLDEN),
    Row(f"{DOOR} mdx", "needs Node.js", f".github/workflows/mdx.yml::{DOOR} mdx"),
    Row(f"{DOOR} rebuild", MINUTES, NIGHTLY + f"{DOOR} rebuild"),
    Row(f"{DOOR} reference", MINUTES, REFERENCE),
    Row(f"{DOOR} reference -- --check", MINUTES, NIGHTLY + f"{DOOR} reference --"),
    Row(f"{DOOR} reference -- --history", RESOLVER),
    Row(f"{DOOR} lock -- --newest", RESOLVER, NIGHTLY + f"{DOOR} lock --"),
    Row(f"{DOOR} lock -- --oldest", RESOLVER, NIGHTLY + f"{DOOR} lock --"),
    Row(
        f"{DOOR} test -- --ignore=tests/house",
        "it is the suite that this is part of",
        NIGHTLY + f"{DOOR} test -- --ignore=tests/house",
    ),
    Row(
        f"{DOOR} words -- links --external --json _build/links.json",
        "asks other servers",
        NIGHTLY + f"{DOOR} words -- links --external",
    ),
    Row(f"{DOOR} run -- {QLORA}", MINUTES, CI + f"{DOOR} book"),
    Row(f"{DOOR} bundle", "needs the built site", CI + f"{DOOR} bundle"),
    Row(f"{DOOR} standalone", MINUTES, CI + f"{DOOR} book"),
    Row(f"{DOOR} book -- --force", MINUTES, FORCE),
    Row(f"{DOOR} covered", MINUTES),
    Row(f"{DOOR} lock", RESOLVER),
    Row(f"{DOOR} lock -- --upgrade", RESOLVER),
    Row(f"{DOOR} bench", BENCH),
    Row(f"{DOOR} bench -- --quick", BENCH),
    Row(f"{DOOR} bench -- --keep", BENCH),
    Row(f"{DOOR} bench -- --notebooks", BENCH),
    Row(f"{DOOR} bench -- --large", BENCH),
    Row(f"{DOOR} bench -- --sandbox", BENCH),
    Row("apt-get install python3 python3-venv git", "changes the system"),
    Row("pip install --no-deps -r .ci/locks/cuda.txt", "needs a CUDA machine"),
    Row("pip install jupyterlab", RESOLVER),
    Row("OMP_NUM_THREADS=1 jupyter lab", "starts a server that stays"),
    Row(
        "mlflow ui --backend-store-uri sqlite:///outputs/tracking/mlflow.db",
        "starts a server that stays",
    ),
    Row(
        "hf download ORGANIZATION/MODEL --revision COMMIT --local-dir models/MODEL",
        "asks the hub",
    ),
    Row("cd models/MODEL && sha256sum -- * > SHA256SUMS", "needs a model's folder"),
    Row("cd models/MODEL && sha256sum --check SHA256SUMS", "needs a model's folder"),
    Row("torchrun --standalone --nproc-per-node 8 train.py", "needs eight GPUs", TWO),
    Row(
        "torchrun --nnodes 2 --nproc-per-node 8 --rdzv-id job-1 --rdzv-backend c10d "
        "--rdzv-endpoint node-0:29500 train.py",
        "needs two machines",
        NODES,
    ),
    Row("vllm serve outputs/merged", VLLM),
    Row(
        "curl localhost:8000/v1/chat/completions "
        '-H "Content-Type: application/json" '
        '-d \'{"model": "tickets", "temperature": 0, "messages": '
        '[{"role": "user", "content": "The printer in room 101 is slow."}]}\'',
        VLLM,
    ),
    Row(
        "python convert_hf_to_gguf.py outputs/merged "
        "--outfile merged-bf16.gguf --outtype bf16",
        "needs a checkout of llama.cpp",
    ),
    Row(
        "llama-quantize merged-bf16.gguf merged-q4_k_m.gguf Q4_K_M",
        "needs a build of llama.cpp",
    ),
    Row("vllm serve outputs/then-sft/hf_format/samples_N", VLLM),
    Row(
        "vllm serve BASE --enable-lora --lora-modules tickets=outputs/run "
        "--max-lora-rank 16",
        VLLM,
    ),
    *(Row(line, "is pasted by another test", GUIDE) for line in SIGN_IN.splitlines()),
    *(Row(line, "needs the sandbox", SMOKED) for line in SMOKE),
    Row(f"{DOOR} sandbox -- up", MINUTES, SANDBOX),
    Row(f"{DOOR} sandbox -- status", "needs a sandbox", SANDBOX),
    Row(f'eval "$({DOOR} sandbox -- env alice)"', "needs a sandbox", SANDBOX),
    Row(f"{DOOR} sandbox -- stop proxy", "needs a sandbox", SANDBOX),
    Row(f"{DOOR} sandbox -- start proxy", "needs a sandbox", SANDBOX),
    Row(f"{DOOR} sandbox -- down", "needs a sandbox", SANDBOX),
    Row("kubectl create -f review.yaml -o jsonpath='{.status.allowed}'", CLUSTER),
    Row(
        "kubectl create secret generic mlflow-sso "
        '--from-file="$HOME/.config/mlflow-sso/password" '
        '--from-file="$HOME/.config/mlflow-sso/client-secret"',
        CLUSTER,
    ),
    Row(
        "kubectl create configmap platform-ca --from-file=/etc/platform/ca.pem", CLUSTER
    ),
)


def commands(block: Block) -> Iterator[tuple[int, str]]:
    """Yield each command of a shell block with its line; a continued one is one."""
    start, kept = 1, ""
    for number, line in enumerate(shell.script(block).splitlines(), 1):
        start = start if kept else number
        kept += line.removesuffix("\\")
        if not line.endswith("\\"):
            if words(kept):
                yield start, kept.strip()
            kept = ""
    if words(kept):
        yield start, kept.strip()


def words(command: str) -> tuple[str, ...]:
    """Return what bash sees of a command: no comment, no quotes."""
    try:
        return tuple(shlex.split(command, comments=True))
    except ValueError:  # a line of a longer text, which the table must name as it is
        return (command.strip(),)


def row_of(command: str, rows: Iterable[Row] = ROWS) -> Row | None:
    """Return the row of a command, None if nobody accounts for it."""
    return next((row for row in rows if words(row.command) == words(command)), None)


def counted(blocks: Iterable[Block]) -> dict[str, int]:
    """Count the commands of the blocks by who runs them."""
    found = [c for b in blocks if b.language in SHELLS for _, c in commands(b)]
    kinds = Counter(row.kind if (row := row_of(c)) else "unknown" for c in found)
    names = ("run", "elsewhere", "not run", "unknown")
    return {"all": len(found), **{name: kinds[name] for name in names}}
