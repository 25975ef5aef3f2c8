"""Where things last: object store, blobs, manifests, refs, registry, step records, keys, signatures, errors."""
