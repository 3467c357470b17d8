package model

import (
	"encoding/binary"
	"hash/maphash"
	"math"

	"echofs/echo/doc"
)

// prints computes fingerprints of values: equal for values that are the same
// data (respelled timestamps apart), different with high probability for
// others. They only guide which elements of lists are compared with each
// other, so a collision costs a larger edit and never a wrong one.
type prints struct {
	seed maphash.Seed
	memo map[*doc.Value]uint64 // of maps and lists
	work int                   // left for aligning lists, as in align
}

func newPrints() *prints {
	return &prints{seed: maphash.MakeSeed(), memo: make(map[*doc.Value]uint64), work: maxWork}
}

func (p *prints) of(v *doc.Value) uint64 {
	if v == nil {
		return 0
	}
	if sum, ok := p.memo[v]; ok {
		return sum
	}
	sum := p.compute(plain(v))
	if v.Kind == doc.Map || v.Kind == doc.List {
		p.memo[v] = sum
	}
	return sum
}

func (p *prints) compute(v doc.Value) uint64 {
	var h maphash.Hash
	h.SetSeed(p.seed)
	h.WriteByte(byte(v.Kind))
	switch v.Kind {
	case doc.Bool:
		if v.Bool {
			h.WriteByte(1)
		}
	case doc.Int:
		writeUint64(&h, uint64(v.Int))
	case doc.Uint:
		writeUint64(&h, v.Uint)
	case doc.Float:
		if !math.IsNaN(v.Float) { // all NaN are one
			writeUint64(&h, math.Float64bits(v.Float))
		}
	case doc.String:
		h.WriteString(v.Str)
	case doc.Bytes:
		h.Write(v.Bytes)
	case doc.List:
		for _, item := range v.Items {
			writeUint64(&h, p.of(item))
		}
	case doc.Map:
		var sum uint64 // does not depend on the order of keys
		for _, f := range v.Fields {
			sum += p.field(f)
		}
		writeUint64(&h, sum)
	}
	return h.Sum64()
}

func (p *prints) field(f doc.Field) uint64 {
	var h maphash.Hash
	h.SetSeed(p.seed)
	h.WriteString(f.Key)
	writeUint64(&h, p.of(f.Value))
	return h.Sum64()
}

func writeUint64(h *maphash.Hash, u uint64) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], u)
	h.Write(b[:])
}
