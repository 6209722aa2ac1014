-- KEYS[1] the lock; KEYS[2] its queue; KEYS[3] the counter of tokens. ARGV[1] our value; ARGV[2] the lock's life in
-- milliseconds; ARGV[3] our proposal for a token, empty without fencing; ARGV[4] how many tokens; ARGV[5] `leave` not to
-- queue, `join` to queue for the first time, `stay` when we may be in the queue already; ARGV[6] the prefix of inboxes;
-- ARGV[7] the life of a claim; ARGV[8] the life of the queue; ARGV[9] a value of ours under which we give the lock up to
-- whoever waits, or empty.
-- Returns {1, token} or {0, what is left of the lock's life, our place in the queue, server time}.
local lock, queue, counter = KEYS[1], KEYS[2], KEYS[3]
local value = ARGV[1]
if taken then
  return {1, mint(counter, ARGV[3], ARGV[4])}
end
local holder = redis.call('GET', lock)
if not holder or holder == ARGV[9] then
  holder = hand_over(lock, queue, counter, ARGV[6], ARGV[7], ARGV[4], value) or value
end
if holder == value then
  redis.call('SET', lock, value, 'PX', ARGV[2])
  if ARGV[3] == '' then
    return {1, 0}
  end
  return {1, mint(counter, ARGV[3], ARGV[4])}
end
local place = queue_up(queue, value .. ARGV[3], ARGV[5], ARGV[8])
return {0, redis.call('PTTL', lock), place, now()}
