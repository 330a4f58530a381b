// Made by: python -m snippets.memory.page. Do not edit.
window.handbookFit = {
 "shapes": {
  "Qwen2.5-0.5B": {
   "model_type": "qwen2",
   "hidden_size": 896,
   "num_hidden_layers": 24,
   "intermediate_size": 4864,
   "num_attention_heads": 14,
   "num_key_value_heads": 2,
   "vocab_size": 151936,
   "head_dim": 64,
   "tie_word_embeddings": true
  },
  "Qwen2.5-1.5B": {
   "model_type": "qwen2",
   "hidden_size": 1536,
   "num_hidden_layers": 28,
   "intermediate_size": 8960,
   "num_attention_heads": 12,
   "num_key_value_heads": 2,
   "vocab_size": 151936,
   "head_dim": 128,
   "tie_word_embeddings": true
  },
  "Qwen2.5-3B": {
   "model_type": "qwen2",
   "hidden_size": 2048,
   "num_hidden_layers": 36,
   "intermediate_size": 11008,
   "num_attention_heads": 16,
   "num_key_value_heads": 2,
   "vocab_size": 151936,
   "head_dim": 128,
   "tie_word_embeddings": true
  },
  "Qwen2.5-7B": {
   "model_type": "qwen2",
   "hidden_size": 3584,
   "num_hidden_layers": 28,
   "intermediate_size": 18944,
   "num_attention_heads": 28,
   "num_key_value_heads": 4,
   "vocab_size": 152064,
   "head_dim": 128,
   "tie_word_embeddings": false
  },
  "Qwen2.5-14B": {
   "model_type": "qwen2",
   "hidden_size": 5120,
   "num_hidden_layers": 48,
   "intermediate_size": 13824,
   "num_attention_heads": 40,
   "num_key_value_heads": 8,
   "vocab_size": 152064,
   "head_dim": 128,
   "tie_word_embeddings": false
  },
  "Qwen2.5-32B": {
   "model_type": "qwen2",
   "hidden_size": 5120,
   "num_hidden_layers": 64,
   "intermediate_size": 27648,
   "num_attention_heads": 40,
   "num_key_value_heads": 8,
   "vocab_size": 152064,
   "head_dim": 128,
   "tie_word_embeddings": false
  },
  "Qwen2.5-72B": {
   "model_type": "qwen2",
   "hidden_size": 8192,
   "num_hidden_layers": 80,
   "intermediate_size": 29568,
   "num_attention_heads": 64,
   "num_key_value_heads": 8,
   "vocab_size": 152064,
   "head_dim": 128,
   "tie_word_embeddings": false
  },
  "Qwen3-0.6B": {
   "model_type": "qwen3",
   "hidden_size": 1024,
   "num_hidden_layers": 28,
   "intermediate_size": 3072,
   "num_attention_heads": 16,
   "num_key_value_heads": 8,
   "vocab_size": 151936,
   "head_dim": 128,
   "tie_word_embeddings": true
  },
  "Qwen3-1.7B": {
   "model_type": "qwen3",
   "hidden_size": 2048,
   "num_hidden_layers": 28,
   "intermediate_size": 6144,
   "num_attention_heads": 16,
   "num_key_value_heads": 8,
   "vocab_size": 151936,
   "head_dim": 128,
   "tie_word_embeddings": true
  },
  "Qwen3-4B": {
   "model_type": "qwen3",
   "hidden_size": 2560,
   "num_hidden_layers": 36,
   "intermediate_size": 9728,
   "num_attention_heads": 32,
   "num_key_value_heads": 8,
   "vocab_size": 151936,
   "head_dim": 128,
   "tie_word_embeddings": true
  },
  "Qwen3-8B": {
   "model_type": "qwen3",
   "hidden_size": 4096,
   "num_hidden_layers": 36,
   "intermediate_size": 12288,
   "num_attention_heads": 32,
   "num_key_value_heads": 8,
   "vocab_size": 151936,
   "head_dim": 128,
   "tie_word_embeddings": false
  },
  "Qwen3-14B": {
   "model_type": "qwen3",
   "hidden_size": 5120,
   "num_hidden_layers": 40,
   "intermediate_size": 17408,
   "num_attention_heads": 40,
   "num_key_value_heads": 8,
   "vocab_size": 151936,
   "head_dim": 128,
   "tie_word_embeddings": false
  },
  "Llama-3.2-1B": {
   "model_type": "llama",
   "hidden_size": 2048,
   "num_hidden_layers": 16,
   "intermediate_size": 8192,
   "num_attention_heads": 32,
   "num_key_value_heads": 8,
   "vocab_size": 128256,
   "head_dim": 64,
   "tie_word_embeddings": true
  },
  "Llama-3.2-3B": {
   "model_type": "llama",
   "hidden_size": 3072,
   "num_hidden_layers": 28,
   "intermediate_size": 8192,
   "num_attention_heads": 24,
   "num_key_value_heads": 8,
   "vocab_size": 128256,
   "head_dim": 128,
   "tie_word_embeddings": true
  },
  "Llama-3.1-8B": {
   "model_type": "llama",
   "hidden_size": 4096,
   "num_hidden_layers": 32,
   "intermediate_size": 14336,
   "num_attention_heads": 32,
   "num_key_value_heads": 8,
   "vocab_size": 128256,
   "head_dim": 128,
   "tie_word_embeddings": false
  },
  "Llama-3.1-70B": {
   "model_type": "llama",
   "hidden_size": 8192,
   "num_hidden_layers": 80,
   "intermediate_size": 28672,
   "num_attention_heads": 64,
   "num_key_value_heads": 8,
   "vocab_size": 128256,
   "head_dim": 128,
   "tie_word_embeddings": false
  },
  "LLaMA-65B": {
   "model_type": "llama",
   "hidden_size": 8192,
   "num_hidden_layers": 80,
   "intermediate_size": 22016,
   "num_attention_heads": 64,
   "num_key_value_heads": 64,
   "vocab_size": 32000,
   "head_dim": 128,
   "tie_word_embeddings": false
  },
  "Mistral-7B-v0.3": {
   "model_type": "mistral",
   "hidden_size": 4096,
   "num_hidden_layers": 32,
   "intermediate_size": 14336,
   "num_attention_heads": 32,
   "num_key_value_heads": 8,
   "vocab_size": 32768,
   "head_dim": 128,
   "tie_word_embeddings": false
  },
  "granite-3.1-8b": {
   "model_type": "granite",
   "hidden_size": 4096,
   "num_hidden_layers": 40,
   "intermediate_size": 12800,
   "num_attention_heads": 32,
   "num_key_value_heads": 8,
   "vocab_size": 49155,
   "head_dim": 128,
   "tie_word_embeddings": true
  },
  "gemma-2-9b": {
   "model_type": "gemma2",
   "hidden_size": 3584,
   "num_hidden_layers": 42,
   "intermediate_size": 14336,
   "num_attention_heads": 16,
   "num_key_value_heads": 8,
   "vocab_size": 256000,
   "head_dim": 256,
   "tie_word_embeddings": true
  }
 },
 "families": [
  "llama",
  "mistral",
  "granite",
  "qwen2",
  "qwen3",
  "gemma2",
  "gemma3_text"
 ],
 "gemma": [
  "gemma2",
  "gemma3_text"
 ],
 "headDim": {
  "gemma2": 256,
  "gemma3_text": 256,
  "qwen3": 128
 },
 "needed": [
  "hidden_size",
  "num_hidden_layers",
  "intermediate_size",
  "num_attention_heads",
  "vocab_size"
 ],
 "experts": [
  "num_experts",
  "num_local_experts",
  "n_routed_experts"
 ],
 "methods": [
  "full",
  "lora",
  "qlora",
  "osft"
 ],
 "optimizers": {
  "adamw": null,
  "adamw-8bit": 2.03125,
  "paged-adamw": null,
  "paged-adamw-8bit": 2.03125
 },
 "lossBytes": 12,
 "softcapBytes": 4,
 "contextGib": [
  0.5,
  1.0,
  1.4
 ],
 "exact": [
  0.99,
  1.01
 ],
 "modelled": [
  0.85,
  1.25
 ]
};
