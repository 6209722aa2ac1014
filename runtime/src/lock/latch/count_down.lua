-- Counts down once for an id.
-- KEYS[1] the gate; KEYS[2] the ids that have counted down; ARGV[1] the generation that is meant; ARGV[2] the id; ARGV[3] the
-- life in milliseconds.
-- Returns what is left: 0 also when that generation is over, -1 when there is no gate.
local gate = redis.call('HMGET', KEYS[1], 'generation', 'total', 'completed')
if not gate[1] then
  return {-1}
end
if gate[1] ~= ARGV[1] or gate[3] == gate[1] then
  return {0}
end
redis.call('SADD', KEYS[2], ARGV[2])
local left = gate[2] - redis.call('SCARD', KEYS[2])
if left == 0 then
  -- Only this changes the gate, so only this wakes those who wait. The ids have served: nobody counts down again.
  redis.call('HSET', KEYS[1], 'completed', gate[1])
  redis.call('DEL', KEYS[2])
else
  redis.call('PEXPIRE', KEYS[2], ARGV[3])
end
-- The life is pushed forward in large steps: each of them wakes those who wait.
if redis.call('PTTL', KEYS[1]) < ARGV[3] / 2 then
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
return {left}
