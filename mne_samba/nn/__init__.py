"""Modules of SAMBA in torch alone: wavelets, responses, graphs, recurrence, whole networks."""
