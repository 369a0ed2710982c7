"""A small stand-in of the VPS4 product API, to see the jobs at work: ``python -m mainspring_vps4.standin --help``.

It keeps VMs and backups in memory and does what the real product does around a backup: takes it on (202), refuses it
while too many run in the data centre (409), and schedules the VM's next backup when one is complete.
"""
