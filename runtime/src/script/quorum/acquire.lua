-- KEYS[1] the lock; KEYS[2] the ledger of this master; KEYS[3] the lock's counter of tokens; KEYS[4] the mark of those who want it
-- alone while others share it, which keeps new ones of those out until it ends or is had. ARGV[1] our value; ARGV[2] the lock's
-- life in milliseconds; ARGV[3] our proposal for a token; ARGV[4] how many tokens, 0 for none; ARGV[5] the life of an idle
-- counter.
-- Returns {1, last token, admitted run}, {0, what is left of the lock's life}, or {-1} without a ledger: then nothing was set.
-- Tokens are exact to 2^53, and never turned into text by `..` or `tostring`, which keep 14 digits.
local ledger = redis.call('HMGET', KEYS[2], 'run', 'high', 'longest', 'floor')
if not ledger[1] then
  return {-1}
end
if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
  local holder = redis.call('GET', KEYS[1])
  if holder ~= ARGV[1] then
    if holder == 'shared' then
      redis.call('SET', KEYS[4], '', 'PX', 400)
    end
    return {0, redis.call('PTTL', KEYS[1])}
  end
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
redis.call('DEL', KEYS[4])
if tonumber(ARGV[2]) > tonumber(ledger[3]) then
  redis.call('HSET', KEYS[2], 'longest', ARGV[2])
end
local count = tonumber(ARGV[4])
if count == 0 then
  return {1, 0, ledger[1]}
end
-- A counter that is missing has expired; one below the floor is from before the master lost something.
local counter = math.max(tonumber(redis.call('GET', KEYS[3]) or ledger[2]), tonumber(ledger[4]))
local token = math.max(counter + 1, tonumber(ARGV[3])) + count - 1
redis.call('SET', KEYS[3], string.format('%.0f', token), 'PX', ARGV[5])
if token > tonumber(ledger[2]) then
  redis.call('HSET', KEYS[2], 'high', string.format('%.0f', token))
end
return {1, token, ledger[1]}
