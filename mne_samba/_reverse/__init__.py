"""From BOLD back to electrophysiology, and the latent space that both share."""
