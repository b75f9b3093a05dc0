"""Where batches come from: a source gives graphs and their targets for rows, whatever a row is (`heliograph.learn.Source`)."""
