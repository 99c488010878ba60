//! The tidegate worker: reads its properties, builds the plugin registry, wires and runs
