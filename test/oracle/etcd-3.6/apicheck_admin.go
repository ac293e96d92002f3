package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

func checkCluster(c *apiCheck) error {
	cluster := pb.NewClusterClient(c.conn)
	list := func(step string, isLinearizable bool) *pb.MemberListResponse {
		response, err := cluster.MemberList(c.ctx, &pb.MemberListRequest{Linearizable: isLinearizable})
		c.say(step, response, err)
		return response
	}
	members := list("members", true)
	list("members, not linearizable", false)
	if members == nil || len(members.Members) != 1 {
		return errors.New("there is not one member")
	}
	own := members.Members[0]
	c.say("the term", map[string]any{"term": members.Header.RaftTerm}, nil)
	update := func(step string, id uint64, urls ...string) {
		response, err := cluster.MemberUpdate(c.ctx, &pb.MemberUpdateRequest{ID: id, PeerURLs: urls})
		c.say(step, response, err)
	}
	update("a member that is not there", 12345, "http://127.0.0.1:1")
	update("no URL", own.ID)
	update("what is no URL", own.ID, "not a url")
	update("another peer URL", own.ID, "http://127.0.0.1:1", "http://127.0.0.1:2")
	list("members then", true)
	update("the peer URL again", own.ID, own.PeerURLs...)
	list("members after that", true)
	add := func(step string, urls ...string) {
		response, err := cluster.MemberAdd(c.ctx, &pb.MemberAddRequest{PeerURLs: urls})
		c.say(step, response, err)
	}
	add("add what is no URL", "not a url")
	add("add the peer URL that is there", own.PeerURLs...)
	removed, err := cluster.MemberRemove(c.ctx, &pb.MemberRemoveRequest{ID: 12345})
	c.say("remove a member that is not there", removed, err)
	for _, id := range []uint64{12345, own.ID} {
		promoted, err := cluster.MemberPromote(c.ctx, &pb.MemberPromoteRequest{ID: id})
		c.say(fmt.Sprintf("promote, own %v", id == own.ID), promoted, err)
	}
	return nil
}

func checkAlarm(c *apiCheck) error {
	maintenance, leaser := pb.NewMaintenanceClient(c.conn), pb.NewLeaseClient(c.conn)
	alarm := func(step string, request *pb.AlarmRequest) *pb.AlarmResponse {
		response, err := maintenance.Alarm(c.ctx, request)
		c.say(step, response, err)
		return response
	}
	if err := c.puts("key", "before"); err != nil {
		return err
	}
	if _, err := leaser.LeaseGrant(c.ctx, &pb.LeaseGrantRequest{ID: 5, TTL: 100}); err != nil {
		return err
	}
	state, err := maintenance.Status(c.ctx, &pb.StatusRequest{})
	if err != nil {
		return err
	}
	own := state.Header.MemberId
	alarm("none", &pb.AlarmRequest{})
	for number, kind := range []pb.AlarmType{pb.AlarmType_NOSPACE, pb.AlarmType_CORRUPT} {
		alarm(fmt.Sprintf("raise %v", kind), &pb.AlarmRequest{Action: pb.AlarmRequest_ACTIVATE, MemberID: own, Alarm: kind})
		alarm(fmt.Sprintf("raise %v again", kind), &pb.AlarmRequest{Action: pb.AlarmRequest_ACTIVATE, MemberID: own, Alarm: kind})
		alarm("what there is", &pb.AlarmRequest{Action: pb.AlarmRequest_GET})
		alarm(fmt.Sprintf("what there is of %v", kind), &pb.AlarmRequest{Action: pb.AlarmRequest_GET, Alarm: kind})
		c.rangeStep("read", &pb.RangeRequest{Key: []byte("key")})
		c.rangeStep("read, serializable", &pb.RangeRequest{Key: []byte("key"), Serializable: true})
		c.putStep("put", &pb.PutRequest{Key: []byte("key"), Value: []byte("refused")})
		c.txnStep("a transaction that puts", &pb.TxnRequest{Success: ops(opPut("key", "refused"))})
		c.txnStep("a transaction that would put", &pb.TxnRequest{Failure: ops(opPut("key", "refused"))})
		c.txnStep("a transaction that reads", &pb.TxnRequest{Success: ops(opGet("key"))})
		c.txnStep("a transaction that deletes", &pb.TxnRequest{Success: ops(opDelete("gone", ""))})
		c.deleteStep("delete", &pb.DeleteRangeRequest{Key: []byte("gone")})
		granted, err := leaser.LeaseGrant(c.ctx, &pb.LeaseGrantRequest{ID: int64(6 + number), TTL: 100})
		c.say("grant", granted, err)
		revoked, err := leaser.LeaseRevoke(c.ctx, &pb.LeaseRevokeRequest{ID: int64(6 + number)})
		c.say("revoke", revoked, err)
		c.compactStep("compact", &pb.CompactionRequest{Revision: 1})
		state, err := maintenance.Status(c.ctx, &pb.StatusRequest{})
		if err != nil {
			return err
		}
		c.say("errors in the status", state.Errors, nil)
		alarm(fmt.Sprintf("lower %v", kind), &pb.AlarmRequest{Action: pb.AlarmRequest_DEACTIVATE, MemberID: own, Alarm: kind})
		alarm(fmt.Sprintf("lower %v again", kind), &pb.AlarmRequest{Action: pb.AlarmRequest_DEACTIVATE, MemberID: own, Alarm: kind})
		c.putStep("put after it", &pb.PutRequest{Key: []byte("key"), Value: fmt.Appendf(nil, "after %d", number)})
	}
	alarm("raise for another member", &pb.AlarmRequest{Action: pb.AlarmRequest_ACTIVATE, MemberID: 99, Alarm: pb.AlarmType_NOSPACE})
	c.putStep("put then", &pb.PutRequest{Key: []byte("key"), Value: []byte("refused")})
	alarm("lower it", &pb.AlarmRequest{Action: pb.AlarmRequest_DEACTIVATE, MemberID: 99, Alarm: pb.AlarmType_NOSPACE})
	c.everything("what is there")
	return nil
}

func checkMaintenance(c *apiCheck) error {
	maintenance := pb.NewMaintenanceClient(c.conn)
	sayStatus := func(step string) error {
		state, err := maintenance.Status(c.ctx, &pb.StatusRequest{})
		if err != nil {
			return err
		}
		c.say(step, map[string]any{
			"line": strings.Join(strings.Split(state.Version, ".")[:2], "."), "storage": state.StorageVersion, "errors": state.Errors,
			"leader": state.Leader, "learner": state.IsLearner, "quota": state.DbSizeQuota, "downgrade": state.DowngradeInfo,
			"sizes": state.DbSize > 0 && state.DbSizeInUse > 0 && state.DbSizeInUse <= state.DbSize,
			"log":   state.RaftIndex > 0 && state.RaftAppliedIndex <= state.RaftIndex && state.RaftTerm > 0,
		}, nil)
		return nil
	}
	if err := sayStatus("status"); err != nil {
		return err
	}
	if err := fillForRange(c); err != nil {
		return err
	}
	c.deleteStep("delete", &pb.DeleteRangeRequest{Key: []byte("r/02"), RangeEnd: []byte("r/06")})
	c.compactStep("compact", &pb.CompactionRequest{Revision: 9, Physical: true})
	for _, revision := range []int64{0, 1, 8, 9, 10, 15, 21, 22, 1000} {
		response, err := maintenance.HashKV(c.ctx, &pb.HashKVRequest{Revision: revision})
		c.say(fmt.Sprintf("hash of the keys at %d", revision), response, err)
	}
	hash, err := maintenance.Hash(c.ctx, &pb.HashRequest{})
	c.say("hash of the database", map[string]any{"present": hash.GetHash() != 0, "revision": hash.GetHeader().GetRevision()}, err)
	defragmented, err := maintenance.Defragment(c.ctx, &pb.DefragmentRequest{})
	c.say("defragment", defragmented, err)
	response, err := maintenance.HashKV(c.ctx, &pb.HashKVRequest{})
	c.say("hash of the keys then", response, err)
	c.everything("keys then")
	if err := c.saySnapshot(maintenance); err != nil {
		return err
	}
	state, err := maintenance.Status(c.ctx, &pb.StatusRequest{})
	if err != nil {
		return err
	}
	for _, target := range []uint64{0, 12345, state.Header.MemberId} {
		moved, err := maintenance.MoveLeader(c.ctx, &pb.MoveLeaderRequest{TargetID: target})
		c.say(fmt.Sprintf("move the leader, to itself %v", target == state.Header.MemberId), moved, err)
	}
	checkDowngrade(c, maintenance)
	return sayStatus("status at the end")
}

func checkDowngrade(c *apiCheck, maintenance pb.MaintenanceClient) {
	downgrade := func(action pb.DowngradeRequest_DowngradeAction, version string) {
		response, err := maintenance.Downgrade(c.ctx, &pb.DowngradeRequest{Action: action, Version: version})
		c.say(fmt.Sprintf("downgrade: %v %q", action, version), response, err)
	}
	for _, version := range []string{"", "three", "3.4.0", "3.5", "3.5.0", "3.6.0", "3.7.0"} {
		downgrade(pb.DowngradeRequest_VALIDATE, version)
	}
	downgrade(pb.DowngradeRequest_CANCEL, "")
	downgrade(9, "3.5.0")
}

// saySnapshot reads a whole snapshot and says whether it is one.
func (c *apiCheck) saySnapshot(maintenance pb.MaintenanceClient) error {
	stream, err := maintenance.Snapshot(c.ctx, &pb.SnapshotRequest{})
	if err != nil {
		return err
	}
	var bytesRead []byte
	var version string
	isCountingDown, total := true, uint64(0)
	for {
		part, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			c.say("snapshot", nil, err)
			return nil
		}
		bytesRead = append(bytesRead, part.Blob...)
		if version == "" {
			version = part.Version
		}
		// The digest is no part of what is counted down.
		if total == 0 {
			total = part.RemainingBytes + uint64(len(part.Blob))
		}
		if uint64(len(bytesRead)) <= total {
			isCountingDown = isCountingDown && part.RemainingBytes == total-uint64(len(bytesRead))
		}
	}
	size := len(bytesRead) - sha256.Size
	if size < 0 {
		return fmt.Errorf("a snapshot of %d bytes", len(bytesRead))
	}
	digest := sha256.Sum256(bytesRead[:size])
	c.say("snapshot", map[string]any{
		"version": version, "digest": bytes.Equal(digest[:], bytesRead[size:]), "whole pages": size > 0 && size%4096 == 0,
		"counts down": isCountingDown, "counted": int(total) == size,
	}, nil)
	return nil
}

// rawCodec sends bytes that are no message.
type rawCodec struct{}

func (rawCodec) Marshal(value any) ([]byte, error)   { return value.([]byte), nil }
func (rawCodec) Unmarshal(_ []byte, value any) error { *value.(*[]byte) = nil; return nil }
func (rawCodec) Name() string                        { return "proto" }

var _ encoding.Codec = rawCodec{}

// checkServices asks what lies beside etcd's own services, and for what is not there.
func checkServices(c *apiCheck) error {
	health := grpc_health_v1.NewHealthClient(c.conn)
	for _, service := range []string{"", "etcdserverpb.KV", "no such service"} {
		answer, err := health.Check(c.ctx, &grpc_health_v1.HealthCheckRequest{Service: service})
		c.say(fmt.Sprintf("health of %q", service), answer.GetStatus().String(), err)
	}
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	watch, err := health.Watch(ctx, &grpc_health_v1.HealthCheckRequest{})
	if err != nil {
		return err
	}
	answer, err := watch.Recv()
	c.say("health, watched", answer.GetStatus().String(), err)
	call := func(step, method string, payload []byte, withText bool) {
		var reply []byte
		err := c.conn.Invoke(c.ctx, method, payload, &reply, grpc.ForceCodec(rawCodec{}))
		if err != nil && !withText {
			known, _ := status.FromError(err)
			c.say(step, known.Code().String(), nil)
			return
		}
		c.say(step, len(reply), err)
	}
	call("a method that does not exist", "/etcdserverpb.KV/Nothing", nil, true)
	call("a service that does not exist", "/no.such.Service/Method", nil, true)
	call("what is no message", "/etcdserverpb.KV/Range", []byte{0x0a, 0xff, 0xff}, false)
	call("an unknown field", "/etcdserverpb.KV/Range", []byte{0x0a, 0x01, 'k', 0xf8, 0x3f, 0x01}, true)
	call("a message that is empty", "/etcdserverpb.KV/Range", nil, true)
	return nil
}
