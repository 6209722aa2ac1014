-- Takes a lock without its queue, which lies on another node at the moment.
-- KEYS[1] the lock. ARGV[1] our value; ARGV[2] the lock's life in milliseconds; ARGV[3] a value of ours under which it may be
-- held, or empty.
-- Returns {1, 0} or {0, what is left of the lock's life, 0, server time}.
local holder = redis.call('GET', KEYS[1])
if not holder or holder == ARGV[1] or holder == ARGV[3] then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return {1, 0}
end
local time = redis.call('TIME')
return {0, redis.call('PTTL', KEYS[1]), 0, time[1] * 1000000 + time[2]}
