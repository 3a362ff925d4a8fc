"""Who writes the first chains: one file per teacher."""
