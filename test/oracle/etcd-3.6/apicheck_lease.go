package main

import (
	"fmt"
	"slices"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// timeToLive says a lease's answer with the remaining time, which runs, as whether it makes sense.
func (c *apiCheck) timeToLive(step string, id int64, withKeys bool) {
	response, err := pb.NewLeaseClient(c.conn).LeaseTimeToLive(c.ctx, &pb.LeaseTimeToLiveRequest{ID: id, Keys: withKeys})
	if err == nil && response.TTL > 0 {
		if response.TTL <= response.GrantedTTL && response.TTL >= response.GrantedTTL-3 {
			response.TTL = response.GrantedTTL
		}
		slices.SortFunc(response.Keys, slices.Compare)
	}
	c.say(step, response, err)
}

func (c *apiCheck) keepAlive(step string, ids ...int64) error {
	stream, err := pb.NewLeaseClient(c.conn).LeaseKeepAlive(c.ctx)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := stream.Send(&pb.LeaseKeepAliveRequest{ID: id}); err != nil {
			return err
		}
		response, err := stream.Recv()
		c.say(fmt.Sprintf("%s: keep %d alive", step, id), response, err)
	}
	return stream.CloseSend()
}

func (c *apiCheck) leases(step string) {
	response, err := pb.NewLeaseClient(c.conn).LeaseLeases(c.ctx, &pb.LeaseLeasesRequest{})
	if err == nil {
		slices.SortFunc(response.Leases, func(a, b *pb.LeaseStatus) int { return int(a.ID - b.ID) })
	}
	c.say(step, response, err)
}

func checkLease(c *apiCheck) error {
	leaser := pb.NewLeaseClient(c.conn)
	c.leases("no leases")
	for _, request := range []*pb.LeaseGrantRequest{
		{ID: 11, TTL: 100}, {ID: 12, TTL: 1}, {ID: 13, TTL: 0}, {ID: 14, TTL: -5}, {ID: 11, TTL: 200},
		{ID: -3, TTL: 100}, {ID: 15, TTL: 9_000_000_000}, {ID: 16, TTL: 9_000_000_001}, {ID: 1<<63 - 1, TTL: 50},
	} {
		response, err := leaser.LeaseGrant(c.ctx, request)
		c.say(fmt.Sprintf("grant %d for %d", request.ID, request.TTL), response, err)
	}
	chosen, err := leaser.LeaseGrant(c.ctx, &pb.LeaseGrantRequest{TTL: 60})
	if err != nil {
		return err
	}
	c.names.learn(uint64(chosen.ID), "the-chosen-lease")
	c.say("an id that the server chooses", chosen, nil)
	c.say("it is positive", chosen.ID > 0, nil)
	c.leases("all of them")
	for number, lease := range []int64{11, 11, -3, chosen.ID, 15} {
		c.putStep(fmt.Sprintf("a key with lease %d", number), &pb.PutRequest{Key: fmt.Appendf(nil, "l/%d", number), Value: []byte("v"), Lease: lease})
	}
	for _, id := range []int64{11, 12, -3, 15, 99, 0, chosen.ID} {
		for _, withKeys := range []bool{false, true} {
			c.timeToLive(fmt.Sprintf("time to live of %d, keys %v", min(id, 1000), withKeys), id, withKeys)
		}
	}
	if err := c.keepAlive("on one stream", 11, 99, 0, -3, chosen.ID); err != nil {
		return err
	}
	c.putStep("a key moves to another lease", &pb.PutRequest{Key: []byte("l/0"), Value: []byte("v"), Lease: -3})
	c.putStep("a key leaves its lease", &pb.PutRequest{Key: []byte("l/1"), Value: []byte("v")})
	c.deleteStep("a key with a lease goes", &pb.DeleteRangeRequest{Key: []byte("l/4")})
	for _, id := range []int64{11, -3, 15} {
		c.timeToLive(fmt.Sprintf("then, of %d", id), id, true)
	}
	stream, err := c.openStream()
	if err != nil {
		return err
	}
	defer stream.cancel()
	if _, err := stream.create("look on", &pb.WatchCreateRequest{Key: []byte("l/"), RangeEnd: []byte("l0"), PrevKv: true}); err != nil {
		return err
	}
	for _, id := range []int64{-3, -3, 11, 99, 0} {
		response, err := leaser.LeaseRevoke(c.ctx, &pb.LeaseRevokeRequest{ID: id})
		c.say(fmt.Sprintf("revoke %d", id), response, err)
		c.everything("what is left")
	}
	if err := c.puts("l/9", "the end"); err != nil {
		return err
	}
	if err := stream.gather("what went", "l/9"); err != nil {
		return err
	}
	c.leases("at the end")
	return nil
}

// checkLeaseEnds lets one lease run out beside one that is kept alive.
func checkLeaseEnds(c *apiCheck) error {
	for _, id := range []clientv3.LeaseID{21, 22} {
		if _, err := pb.NewLeaseClient(c.conn).LeaseGrant(c.ctx, &pb.LeaseGrantRequest{ID: int64(id), TTL: 2}); err != nil {
			return err
		}
		for _, key := range []string{"a", "b"} {
			if _, err := c.client.Put(c.ctx, fmt.Sprintf("e/%d/%s", id, key), "v", clientv3.WithLease(id)); err != nil {
				return err
			}
		}
	}
	start := time.Now()
	kept, err := c.client.KeepAlive(c.ctx, 22)
	if err != nil {
		return err
	}
	events := c.client.Watch(c.ctx, "e/", clientv3.WithPrefix(), clientv3.WithPrevKV())
	var deletes []*mvccpb.Event
	for response := range events {
		for _, event := range response.Events {
			deletes = append(deletes, (*mvccpb.Event)(event))
		}
		if len(deletes) >= 2 {
			break
		}
	}
	slices.SortFunc(deletes, func(a, b *mvccpb.Event) int { return slices.Compare(a.Kv.Key, b.Kv.Key) })
	c.say("what ran out", deletes, nil)
	took := time.Since(start)
	c.say("it took two seconds and not much more", took > 1900*time.Millisecond && took < 6*time.Second, nil)
	c.timeToLive("the one that ran out", 21, true)
	time.Sleep(3 * time.Second)
	c.timeToLive("the one kept alive", 22, true)
	answer := <-kept
	c.say("its keep-alive", answer.TTL, nil)
	c.everything("what is left")
	c.leases("leases")
	return nil
}
