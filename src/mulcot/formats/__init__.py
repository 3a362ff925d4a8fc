"""What the models of Multimodal-CoT read and write, as plain strings; nothing here imports torch."""
