"""`isthmus:local:*`: processes, buckets and topics of this one machine, as resources of the Pulumi engine."""
