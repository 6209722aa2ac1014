-- Begins a new count, unless one is under way.
-- KEYS[1] the gate; KEYS[2] the ids that have counted down; ARGV[1] the count; ARGV[2] its life in milliseconds; ARGV[3] the
-- caller's own random id, so that the same call sent twice begins one count.
-- Returns 1 and the count, or 0 and what is left of the count under way.
local gate = redis.call('HMGET', KEYS[1], 'generation', 'total', 'completed', 'by')
local generation, completed = tonumber(gate[1] or 0), tonumber(gate[3] or 0)
if gate[4] == ARGV[3] then
  return {1, tonumber(gate[2])}
end
if generation > completed then
  return {0, tonumber(gate[2]) - redis.call('SCARD', KEYS[2])}
end
-- The clock only keeps generations apart from those of a gate that is gone.
local time = redis.call('TIME')
local new = math.max(generation + 1, time[1] * 1000000 + time[2])
local done = generation
if tonumber(ARGV[1]) == 0 then
  done = new
end
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[1], 'generation', string.format('%.0f', new), 'completed', string.format('%.0f', done),
  'total', ARGV[1], 'by', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return {1, tonumber(ARGV[1])}
