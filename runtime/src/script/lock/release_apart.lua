-- Frees a lock without its queue, which lies on another node at the moment: whoever waits there asks again in its time.
-- KEYS[1] the lock. ARGV[1] our value.
-- Returns 0 if the lock is not ours, 1 if it is free.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
return redis.call('DEL', KEYS[1])
