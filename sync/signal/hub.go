package signal

import (
	"errors"
	"sync"

	"golang.org/x/time/rate"
)

var (
	errTaken    = errors.New("peer id is taken")
	errTopics   = errors.New("too many topics")
	errNotThere = errors.New("not subscribed under this peer id")
)

// hub knows who is on which topic.
type hub struct {
	limits Limits

	mu     sync.Mutex // guards the below
	topics map[Topic]*room
}

// room is the peers on one topic.
type room struct {
	peers  map[PeerID]*client
	budget *rate.Limiter
}

func newHub(l Limits) *hub { return &hub{limits: l, topics: make(map[Topic]*room)} }

func (h *hub) subscribe(c *client, s subscribe) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := c.selves[s.Topic]; ok || len(c.selves) >= h.limits.TopicsPerClient {
		return errTopics
	}
	r := h.topics[s.Topic]
	if r == nil {
		if len(h.topics) >= h.limits.Topics {
			return errTopics
		}
		r = &room{
			peers:  make(map[PeerID]*client),
			budget: rate.NewLimiter(rate.Limit(h.limits.TopicRate), h.limits.TopicBurst),
		}
		h.topics[s.Topic] = r
	}
	if r.peers[s.Self] != nil || len(r.peers) >= h.limits.PeersPerTopic {
		return errTaken
	}
	r.peers[s.Self] = c
	c.selves[s.Topic] = s.Self
	return nil
}

func (h *hub) unsubscribe(c *client, t Topic) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.remove(c, t)
}

// remove takes c off a topic; h.mu is held.
func (h *hub) remove(c *client, t Topic) {
	self, ok := c.selves[t]
	if !ok {
		return
	}
	delete(c.selves, t)
	r := h.topics[t]
	delete(r.peers, self)
	if len(r.peers) == 0 {
		delete(h.topics, t)
	}
}

// leave takes c off all topics.
func (h *hub) leave(c *client) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for t := range c.selves {
		h.remove(c, t)
	}
}

// forward hands raw, which is f encoded, to whom it is for. What goes beyond
// the topic's budget is dropped.
func (h *hub) forward(c *client, f *Frame, raw []byte) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if self, ok := c.selves[f.Topic]; !ok || self != f.From {
		return errNotThere
	}
	r := h.topics[f.Topic]
	if !r.budget.Allow() {
		return nil
	}
	if f.To != nil {
		if to := r.peers[*f.To]; to != nil {
			to.offer(raw)
		}
		return nil
	}
	for _, to := range r.peers {
		if to != c {
			to.offer(raw)
		}
	}
	return nil
}

// counts returns how many topics there are.
func (h *hub) counts() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.topics)
}
