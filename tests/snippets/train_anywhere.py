"""A training script that does not know how many processes run it."""

import sys

# region: script
from training_hub import lora_sft

from snippets import backends

model, data, folder = sys.argv[1:]
backends.register()
lora_sft(
    backend="peft",
    model_path=model,
    data_path=data,
    ckpt_output_dir=folder,  # a folder that every machine sees
    load_in_4bit=True,
    lora_r=4,
    lora_alpha=8,
    num_epochs=2,
    effective_batch_size=16,  # over all processes of all machines
    learning_rate=1e-3,
    max_seq_len=128,
    seed=0,
    enable_jit_checkpoint=True,
)
# endregion: script
