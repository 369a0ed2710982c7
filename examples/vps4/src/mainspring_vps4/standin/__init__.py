"""A small stand-in of the VPS4 product API, to see the jobs at work: ``python -m mainspring_vps4.standin --help``.

It keeps VMs and backups in memory and does what the real product does with a backup: takes it on (202), or refuses it
while too many run in the data centre (409).
"""
