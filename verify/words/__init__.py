"""Checks what pages say outside code: one spelling a term, links, texts of images."""
