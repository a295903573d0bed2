"""The numbers of SAMBA in pure torch: wavelets, haemodynamic responses, graphs, recurrence, the linear core."""
