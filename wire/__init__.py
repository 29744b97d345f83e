"""Wire: what goes over a wire. Bytes in, values out.

Belongs here: names, headers, topic grammar, codecs. No socket and no client.
"""
