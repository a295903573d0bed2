"""The numbers of SAMBA in pure torch: wavelets, responses, graphs, recurrence, linear core."""
