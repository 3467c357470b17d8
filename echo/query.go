package echo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/itchyny/gojq"

	"echofs/echo/doc"
	"echofs/echo/model"
)

// Query says which objects of a space are wanted. Empty members match all.
type Query struct {
	Type  string // a DXN, or the name of a type with or without version: "Task", "example.com/type/Task"
	Where string // a jq expression over the object's data: kept where its first result is neither false nor null
	Text  string // words that must all occur in strings or names, in any case
}

// QueryResult is one object.
type QueryResult struct {
	ID   doc.ObjectID
	Path string // within the space
	Type string
	Data json.RawMessage
}

// ErrBadQuery is wrapped where a query cannot be understood.
var ErrBadQuery = errors.New("malformed query")

// Query returns the objects that match, in the order of their ids. Objects on
// which the jq expression fails do not match.
func (s *Space) Query(ctx context.Context, q Query) ([]QueryResult, error) {
	match, err := q.compile()
	if err != nil {
		return nil, err
	}
	var out []QueryResult
	prefix := key(tableObject, s.id)
	err = scanRows(s.repo.store, prefix, func(k []byte, obj *objectRow) bool {
		if ctx.Err() != nil {
			return false
		}
		if obj.Ino == 0 || obj.Deleted || !obj.Kind.IsFile() {
			return true
		}
		var id doc.ObjectID
		copy(id[:], k[len(prefix):])
		out = append(out, QueryResult{ID: id, Type: obj.Type})
		return true
	})
	if err := errors.Join(err, ctx.Err()); err != nil {
		return nil, fmt.Errorf("query: %w", err)
	}
	return s.filter(ctx, out, match)
}

// filter reads the candidates and keeps those that match.
func (s *Space) filter(ctx context.Context, candidates []QueryResult, match func(context.Context, *QueryResult) bool) ([]QueryResult, error) {
	kept := candidates[:0]
	for _, c := range candidates {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("query: %w", err)
		}
		obj, err := getObject(s.repo.store, s.id, c.ID)
		if err != nil {
			continue // gone meanwhile
		}
		structure, err := getValue(s.repo.store, s.id, c.ID)
		if err != nil {
			continue // a fresh file without content
		}
		if c.Path, err = s.repo.Path(obj.Ino); err != nil {
			continue
		}
		_, c.Path, _ = strings.Cut(c.Path, "/")
		data := structure.Get(keyData)
		if data == nil {
			data = doc.NewMap()
		}
		c.Data = bytes.TrimSpace(model.Render(data, model.RenderOptions{}))
		if match(ctx, &c) {
			kept = append(kept, c)
		}
	}
	return kept, nil
}

// compile returns the function that decides about one object.
func (q Query) compile() (func(context.Context, *QueryResult) bool, error) {
	var code *gojq.Code
	if q.Where != "" {
		parsed, err := gojq.Parse(q.Where)
		if err != nil {
			return nil, fmt.Errorf("%w: jq expression: %w", ErrBadQuery, err)
		}
		if code, err = gojq.Compile(parsed); err != nil {
			return nil, fmt.Errorf("%w: jq expression: %w", ErrBadQuery, err)
		}
	}
	words := strings.Fields(strings.ToLower(q.Text))
	return func(ctx context.Context, r *QueryResult) bool {
		return matchesType(r.Type, q.Type) && matchesWords(r, words) && matchesCode(ctx, code, r.Data)
	}, nil
}

// matchesType compares a DXN with a name as people write it.
func matchesType(dxn, want string) bool {
	if want == "" || dxn == want {
		return true
	}
	name := strings.TrimPrefix(strings.TrimPrefix(dxn, "dxn:type:"), "dxn:")
	bare, _, _ := strings.Cut(name, ":")
	return name == want || bare == want || bare != "" && bare[strings.LastIndexAny(bare, "/.")+1:] == want
}

func matchesWords(r *QueryResult, words []string) bool {
	if len(words) == 0 {
		return true
	}
	text := strings.ToLower(r.Path + " " + string(r.Data))
	for _, w := range words {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}

func matchesCode(ctx context.Context, code *gojq.Code, data json.RawMessage) bool {
	if code == nil {
		return true
	}
	var v any
	d := json.NewDecoder(bytes.NewReader(data))
	if err := d.Decode(&v); err != nil {
		return false
	}
	result, ok := code.RunWithContext(ctx, v).Next()
	if !ok || result == nil || result == false {
		return false
	}
	_, failed := result.(error)
	return !failed
}
