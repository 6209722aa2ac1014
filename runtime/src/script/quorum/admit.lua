-- KEYS[1] the ledger. ARGV[1] the run that it is for; ARGV[2] the run that it has been for, empty if there must be none; ARGV[3] the
-- highest token there can be; ARGV[4] the longest life of a lock. Returns 1 if this server is that run and has that ledger.
if string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') ~= ARGV[1] then
  return 0
end
local ledger = redis.call('HMGET', KEYS[1], 'run', 'high', 'longest')
if (ledger[1] or '') ~= ARGV[2] then
  return 0
end
local high, longest = ARGV[3], ARGV[4]
if ledger[2] and tonumber(ledger[2]) > tonumber(high) then
  high = ledger[2]
end
if ledger[3] and tonumber(ledger[3]) > tonumber(longest) then
  longest = ledger[3]
end
redis.call('HSET', KEYS[1], 'run', ARGV[1], 'high', high, 'floor', high, 'longest', longest)
return 1
