package lan

import "github.com/pion/mdns/v2"

// EncodeTags is encodeTags, for tests.
func EncodeTags(tags []Tag) []mdns.TXTEntry { return encodeTags(tags) }

// DecodeTags is decodeTags, for tests.
func DecodeTags(e []mdns.TXTEntry) []Tag { return decodeTags(e) }

// Heard is heard, for tests.
func (f *Finder) Heard(e mdns.ServiceEvent) { f.heard(e) }
