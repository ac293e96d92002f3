package main

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// apiStream is one watch stream. How a server packs events into answers is its own affair, so events are
// gathered for each watch, in the order in which they came.
type apiStream struct {
	c      *apiCheck
	stream pb.Watch_WatchClient
	cancel context.CancelFunc
}

func (c *apiCheck) openStream() (*apiStream, error) {
	ctx, cancel := context.WithCancel(c.ctx)
	stream, err := pb.NewWatchClient(c.conn).Watch(ctx)
	return &apiStream{c, stream, cancel}, err
}

// create asks for a watch and says what came back. Events that come first are not lost: none is due yet.
func (s *apiStream) create(step string, request *pb.WatchCreateRequest) (*pb.WatchResponse, error) {
	err := s.stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: request}})
	if err != nil {
		return nil, err
	}
	response, err := s.stream.Recv()
	s.c.say(step, response, err)
	return response, err
}

// answer says the next answer, whatever it is.
func (s *apiStream) answer(step string) (*pb.WatchResponse, error) {
	response, err := s.stream.Recv()
	s.c.say(step, response, err)
	return response, err
}

func (s *apiStream) cancelWatch(step string, id int64) error {
	err := s.stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CancelRequest{CancelRequest: &pb.WatchCancelRequest{WatchId: id}}})
	if err != nil {
		return err
	}
	_, err = s.answer(step)
	return err
}

func (s *apiStream) progress() error {
	return s.stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_ProgressRequest{ProgressRequest: &pb.WatchProgressRequest{}}})
}

// gather reads until a watch has shown an event of the key, and says what each watch has shown. A progress
// notice is asked for then: it comes when every other watch has shown that revision too.
func (s *apiStream) gather(step, lastKey string) error {
	events := map[int64][]*mvccpb.Event{}
	for isLast := false; ; {
		response, err := s.stream.Recv()
		if err == nil && isLast && response.WatchId == -1 {
			break
		}
		if err != nil {
			s.c.say(step, nil, err)
			return err
		}
		if len(response.Events) == 0 {
			s.c.say(step+": an answer without events", response, nil)
			if response.Canceled {
				return nil
			}
		}
		for _, event := range response.Events {
			if !isLast && string(event.Kv.Key) == lastKey {
				isLast = true
				if err := s.progress(); err != nil {
					return err
				}
			}
		}
		events[response.WatchId] = append(events[response.WatchId], response.Events...)
	}
	ids := make([]int64, 0, len(events))
	for id := range events {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		for _, event := range events[id] {
			s.c.say(fmt.Sprintf("%s: watch %d", step, id), event, nil)
		}
	}
	return nil
}

// watchHistory is what watches are shown: puts, deletes, one key twice, several in one revision.
func watchHistory(c *apiCheck, fence string) error {
	if err := c.puts("w/a", "1", "w/b", "1", "w/a", "2", "v", "outside", "x", "outside"); err != nil {
		return err
	}
	for _, request := range []*pb.DeleteRangeRequest{
		{Key: []byte("w/a")}, {Key: []byte("w/a")}, {Key: []byte("w/none")},
	} {
		if _, err := c.kv.DeleteRange(c.ctx, request); err != nil {
			return err
		}
	}
	if err := c.puts("w/a", "3", "w/c", "1", "w/d", "1"); err != nil {
		return err
	}
	_, err := c.kv.Txn(c.ctx, &pb.TxnRequest{Success: ops(opPut("w/e", "1"), opDelete("w/c", ""), opPut("w/a", "4"), opPut("w/b", "2"))})
	if err == nil {
		_, err = c.kv.Txn(c.ctx, &pb.TxnRequest{Success: ops(opTxn(&pb.TxnRequest{Success: ops(opPut("w/m", "1"))}), opTxn(&pb.TxnRequest{Success: ops(opDelete("w/m", ""))}))})
	}
	if err == nil {
		_, err = c.kv.DeleteRange(c.ctx, &pb.DeleteRangeRequest{Key: []byte("w/"), RangeEnd: []byte("w/c")})
	}
	if err != nil {
		return err
	}
	return c.puts(fence, "the end")
}

// watchShapes are the ways to ask for a watch.
func watchShapes() []*pb.WatchCreateRequest {
	noPut, noDelete := []pb.WatchCreateRequest_FilterType{pb.WatchCreateRequest_NOPUT}, []pb.WatchCreateRequest_FilterType{pb.WatchCreateRequest_NODELETE}
	return []*pb.WatchCreateRequest{
		{Key: []byte("w/a")},
		{Key: []byte("w/"), RangeEnd: []byte("w0")},
		{Key: []byte("w/b"), RangeEnd: []byte("w/d")},
		{Key: []byte("w/b"), RangeEnd: []byte{0}},
		{Key: []byte{0}, RangeEnd: []byte{0}},
		{Key: []byte("w/"), RangeEnd: []byte("w0"), PrevKv: true},
		{Key: []byte("w/"), RangeEnd: []byte("w0"), Filters: noPut},
		{Key: []byte("w/"), RangeEnd: []byte("w0"), Filters: noDelete, PrevKv: true},
		{Key: []byte("w/"), RangeEnd: []byte("w0"), Filters: append(noPut, noDelete...)},
		{Key: []byte("w/a"), Fragment: true, ProgressNotify: true},
		{Key: []byte("w/none")},
		{Key: []byte("w/"), RangeEnd: []byte("w0"), WatchId: 77},
	}
}

// checkWatch makes many watches on one stream and shows them the same history.
func checkWatch(c *apiCheck) error {
	stream, err := c.openStream()
	if err != nil {
		return err
	}
	defer stream.cancel()
	for number, request := range watchShapes() {
		if _, err := stream.create(fmt.Sprintf("create %d", number), request); err != nil {
			return err
		}
	}
	odd := []struct {
		step    string
		request *pb.WatchCreateRequest
	}{
		{"an id that is taken", &pb.WatchCreateRequest{Key: []byte("w/a"), WatchId: 77}},
		{"an id that the server gave", &pb.WatchCreateRequest{Key: []byte("w/a"), WatchId: 3}},
		{"a range that is empty", &pb.WatchCreateRequest{Key: []byte("w/b"), RangeEnd: []byte("w/a")}},
		{"a range whose end is its key", &pb.WatchCreateRequest{Key: []byte("w/b"), RangeEnd: []byte("w/b")}},
		{"no key", &pb.WatchCreateRequest{}},
		{"no key, to the end", &pb.WatchCreateRequest{RangeEnd: []byte{0}}},
		{"a filter that does not exist", &pb.WatchCreateRequest{Key: []byte("w/a"), Filters: []pb.WatchCreateRequest_FilterType{7}}},
		{"a negative start", &pb.WatchCreateRequest{Key: []byte("w/b"), StartRevision: -5}},
		{"a start far ahead", &pb.WatchCreateRequest{Key: []byte("w/a"), StartRevision: 1000}},
		{"a start a little ahead", &pb.WatchCreateRequest{Key: []byte("w/a"), StartRevision: 9}},
		{"the next id after all that", &pb.WatchCreateRequest{Key: []byte("fence")}},
	}
	for _, each := range odd {
		made, err := stream.create(each.step, each.request)
		if err == nil && each.request.StartRevision == 1000 {
			// A watch that waits for the future keeps its stream from telling progress.
			err = stream.cancelWatch("cancel it", made.WatchId)
		}
		if err != nil {
			return err
		}
	}
	if err := watchHistory(c, "fence"); err != nil {
		return err
	}
	if err := stream.gather("the history", "fence"); err != nil {
		return err
	}
	for _, id := range []int64{0, 77, 4} {
		if err := stream.cancelWatch(fmt.Sprintf("cancel %d", id), id); err != nil {
			return err
		}
	}
	if err := c.puts("w/a", "after the cancels", "fence", "2"); err != nil {
		return err
	}
	if err := stream.gather("after the cancels", "fence"); err != nil {
		return err
	}
	_, err = stream.create("create again", &pb.WatchCreateRequest{Key: []byte("w/z")})
	return err
}

// checkWatchPast starts watches at revisions of the past, one on each stream.
func checkWatchPast(c *apiCheck) error {
	if err := watchHistory(c, "w/z"); err != nil {
		return err
	}
	past := func(step string, request *pb.WatchCreateRequest, isShown bool) error {
		stream, err := c.openStream()
		if err != nil {
			return err
		}
		defer stream.cancel()
		if _, err := stream.create(step, request); err != nil || !isShown {
			return err
		}
		return stream.gather(step, "w/z")
	}
	for number, request := range watchShapes() {
		isShown := len(request.RangeEnd) > 0 && !slices.Contains(request.Filters, pb.WatchCreateRequest_NOPUT) && string(request.RangeEnd) != "w/d"
		for _, start := range []int64{1, 2, 4, 8, 11} {
			request.StartRevision, request.WatchId = start, 0
			if err := past(fmt.Sprintf("shape %d from %d", number, start), request, isShown); err != nil {
				return err
			}
		}
	}
	c.compactStep("compact", &pb.CompactionRequest{Revision: 8, Physical: true})
	for _, start := range []int64{1, 7, 8, 9} {
		for _, withPrevious := range []bool{false, true} {
			step := fmt.Sprintf("compacted, from %d, previous %v", start, withPrevious)
			request := &pb.WatchCreateRequest{Key: []byte("w/"), RangeEnd: []byte("w0"), StartRevision: start, PrevKv: withPrevious}
			if err := past(step, request, true); err != nil {
				return err
			}
		}
	}
	return checkFragments(c)
}

// checkFragments catches up with eight MiB, once in parts that fit a message and once as the server likes.
func checkFragments(c *apiCheck) error {
	value := bytes.Repeat([]byte("f"), 1<<20)
	first := int64(0)
	for number := range 8 {
		response, err := c.kv.Put(c.ctx, &pb.PutRequest{Key: fmt.Appendf(nil, "f/%d", number), Value: value})
		if err != nil {
			return err
		}
		if number == 0 {
			first = response.Header.Revision
		}
	}
	for _, isFragmented := range []bool{true, false} {
		stream, err := c.openStream()
		if err != nil {
			return err
		}
		if _, err := stream.create("large", &pb.WatchCreateRequest{Key: []byte("f/"), RangeEnd: []byte("f0"), StartRevision: first, Fragment: isFragmented}); err != nil {
			return err
		}
		seen, isWithinLimit, hasParts := 0, true, false
		for seen < 8 {
			response, err := stream.stream.Recv()
			if err != nil {
				return err
			}
			seen += len(response.Events)
			isWithinLimit = isWithinLimit && (!isFragmented || response.Size() < 3<<20)
			hasParts = hasParts || response.Fragment
		}
		c.say("fragments", map[string]any{"asked": isFragmented, "events": seen, "within the limit": isWithinLimit, "in parts": hasParts == isFragmented}, nil)
		stream.cancel()
	}
	return nil
}

// checkProgress asks for the revision that a stream has come to.
func checkProgress(c *apiCheck) error {
	stream, err := c.openStream()
	if err != nil {
		return err
	}
	defer stream.cancel()
	for _, key := range []string{"p/1", "p/2"} {
		if _, err := stream.create("create "+key, &pb.WatchCreateRequest{Key: []byte(key)}); err != nil {
			return err
		}
	}
	for number := range 3 {
		if err := c.puts("elsewhere", fmt.Sprint(number)); err != nil {
			return err
		}
		if err := stream.progress(); err != nil {
			return err
		}
		if _, err := stream.answer(fmt.Sprintf("progress %d", number)); err != nil {
			return err
		}
	}
	if err := c.puts("p/1", "seen"); err != nil {
		return err
	}
	if err := stream.gather("an event between", "p/1"); err != nil {
		return err
	}
	if err := stream.progress(); err != nil {
		return err
	}
	_, err = stream.answer("progress after the event")
	return err
}

// checkNotify waits for progress that nobody asked for; the server is started with a short interval.
func checkNotify(c *apiCheck) error {
	for _, isAsked := range []bool{true, false} {
		stream, err := c.openStream()
		if err != nil {
			return err
		}
		if _, err := stream.create(fmt.Sprintf("create, notify %v", isAsked), &pb.WatchCreateRequest{Key: []byte("n/1"), ProgressNotify: isAsked}); err != nil {
			return err
		}
		if err := c.puts("elsewhere", "1"); err != nil {
			return err
		}
		answers := make(chan *pb.WatchResponse, 8)
		go func() {
			for {
				response, err := stream.stream.Recv()
				if err != nil {
					return
				}
				answers <- response
			}
		}()
		select {
		case response := <-answers:
			c.say("a notice", response, nil)
		case <-time.After(3 * time.Second):
			c.say("no notice", isAsked, nil)
		}
		stream.cancel()
	}
	return nil
}

// checkWatchMany has three hundred clientv3 watchers over a few streams, half of which go in between.
func checkWatchMany(c *apiCheck) error {
	const count = 300
	leaving, leave := context.WithCancel(c.ctx)
	defer leave()
	counts := make([]int, count)
	var made, gone, finished sync.WaitGroup
	for number := range count {
		made.Add(1)
		ctx, finish := c.ctx, &finished
		if number%2 == 1 {
			ctx, finish = leaving, &gone
		}
		finish.Add(1)
		channel := c.client.Watch(clientv3.WithRequireLeader(ctx), fmt.Sprintf("many/%d", number%10), clientv3.WithPrefix(), clientv3.WithCreatedNotify())
		go func() {
			defer finish.Done()
			once := sync.OnceFunc(made.Done)
			for response := range channel {
				if response.Created {
					once()
				}
				for _, event := range response.Events {
					if string(event.Kv.Value) == "end" {
						return
					}
					counts[number]++
				}
			}
		}()
	}
	if err := waitFor(c.ctx, &made, 20*time.Second, "watchers"); err != nil {
		return err
	}
	write := func(value string) error {
		for key := range 10 {
			if err := c.puts(fmt.Sprintf("many/%d", key), value); err != nil {
				return err
			}
		}
		return nil
	}
	for _, value := range []string{"1", "2", "3"} {
		if err := write(value); err != nil {
			return err
		}
	}
	leave()
	if err := waitFor(c.ctx, &gone, 20*time.Second, "watchers to go"); err != nil {
		return err
	}
	for _, value := range []string{"4", "5", "end"} {
		if err := write(value); err != nil {
			return err
		}
	}
	if err := waitFor(c.ctx, &finished, 20*time.Second, "watchers to see the end"); err != nil {
		return err
	}
	complete := 0
	for number := 0; number < count; number += 2 {
		if counts[number] == 5 {
			complete++
		}
	}
	c.say("watchers that saw everything", complete, nil)
	return nil
}
