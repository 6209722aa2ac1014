-- KEYS[1] the lock; ARGV[1] our value; ARGV[2] its life from now in milliseconds. Returns what was left of its life, or -1 if
-- it is not ours.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return -1
end
local left = redis.call('PTTL', KEYS[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return left
