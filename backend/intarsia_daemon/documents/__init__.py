"""Reading and writing pictures and layered documents (.png .jpg .tif .webp .ora .kra .psd).

`reading.read_document` is the way in: it parses every file in a short-lived child process with
limits. Import the module you need.
"""
